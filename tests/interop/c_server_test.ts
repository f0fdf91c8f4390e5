import { assert, assertEquals, assertMatch } from "@std/assert";
import { greeted } from "../support/client.ts";
import { Master, pidIn, Site } from "../support/master.ts";
import { gone, isRunning, peer, peerStart, successorOf } from "../support/peers.ts";
import { descriptorsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** The number of SIGCHLD. */
const SIGCHLD = "17";

/** The line of the end of a killed server: on a busy machine its pipe is closed long before, as if it had detached. */
function endOf(pid: number): RegExp {
  return new RegExp(
    `process ${pid}(?: ended after \\S+ \\S+: signal SIGKILL|, which was detached)`,
  );
}

function pidsOf(master: Master, file: string): number[] {
  return master.servers(file).map(({ pid }) => pid);
}

Deno.test("servers in C are started by the protocol, replaced, reloaded, and detached", async (t) => {
  await using site = new Site();
  const program = { "server-command": peer("server") };
  const ports = {
    start: site.port(),
    killed: site.port(),
    mended: site.port(),
    bad: site.port(),
    detached: site.port(),
  };
  const fifo = site.dir.file("in");
  const named = [site.port(), site.port(), site.port()];
  const paths = [site.socket("a"), site.socket("b")];
  site.write("start.cf", {
    ...program,
    "server-service": `127.0.0.1:${ports.start},ssl://127.0.0.1:${site.port()};` +
      `${site.socket("u")} in://fifo:${site.dir.file("f")}`,
  });
  site.write("named.cf", {
    ...program,
    "server-service": `127.0.0.1:${named[0]};ssl://127.0.0.1:${named[1]},\tlocal:${paths[0]}  ` +
      `u://${paths[1]} \t;, 127.0.0.1:${named[2]}`,
  });
  site.write("fifo.cf", { ...program, "server-service": `in://fifo:${fifo}` });
  site.write("killed.cf", {
    ...program,
    "server-service": `127.0.0.1:${ports.killed}`,
    // Each death is one too many within the time that makes a process healthy.
    "server-backoff-max": 0,
  });
  const mended = { ...program, "server-service": `127.0.0.1:${ports.mended}` };
  site.write("mended.cf", { ...mended, "server-stop-on-softstop-after": 1 });
  const bad = { ...program, "server-service": `127.0.0.1:${ports.bad}` };
  site.write("bad.cf", bad);
  site.write("detached.cf", { ...program, "server-service": `127.0.0.1:${ports.detached}` });
  const master = await site.start({ args: ["-master-stop-timeout", "1"] });

  await t.step(
    "they have the arguments and the descriptors of the protocol, and no others",
    async () => {
      using client = await greeted(ports.start);
      const { argv, fds, ignored } = await peerStart(client);
      assertEquals(argv, [
        ...["c_server", "MASTER"],
        ...["-server-config-path", site.conf],
        ...["-config", `${site.conf}/start.cf`],
        ...["-server-service", ":i5,ssl:i6,:u7,in:f8"],
      ]);
      assertEquals(fds, [
        "3 pipe write blocking",
        "4 pipe read blocking",
        "5 listener both nonblocking",
        "6 listener both nonblocking",
        "7 listener both nonblocking",
        "8 pipe both nonblocking",
      ]);
      // As under LIB-ZC's master, and no signal that the runtime ignores.
      assertEquals(ignored, [SIGCHLD]);
      assertEquals(pidsOf(master, "start.cf"), [pidIn(client)]);
    },
  );

  await t.step(
    "they are told the name and the type of each service, whatever separates them",
    async () => {
      const greetings: string[] = [];
      for (const target of [...named, ...paths]) {
        using client = await greeted(target);
        greetings.push(client.greeting.replace(/ \d+ /, " "));
      }
      assertEquals(greetings, ["c - inet", "c ssl inet", "c - inet", "c - unix", "c u unix"]);
    },
  );

  await t.step("one reads what is written to its fifo", async () => {
    await master.logs(/serviceRegister in fifo\n/, 2);
    for (const line of ["one", "two"]) {
      await Deno.writeTextFile(fifo, `${line}\n`, { create: false });
      await master.logs(new RegExp(`from the fifo: ${line}\n`));
    }
  });

  await t.step("one that is killed is replaced, and no connection is refused", async () => {
    const port = ports.killed;
    let client = await greeted(port);
    const descriptors = descriptorsOf(master.pid).size;
    for (let round = 0; round < 10; round++) {
      const pid = pidIn(client);
      client.close();
      Deno.kill(pid, "SIGKILL");
      client = await successorOf(pid, port);
      await master.logs(endOf(pid));
    }
    client.close();
    // A start that is under way has some more.
    await eventually(() => descriptorsOf(master.pid).size <= descriptors, {
      what: "the master to have no more descriptors than before",
    });
  });

  await t.step(
    "a reload soft-stops them when their successors run, and keeps the socket",
    async () => {
      using before = await greeted(ports.mended);
      site.write("mended.cf", { ...mended, color: "blue" });
      await master.reload();
      await master.logs(new RegExp(`c_server\\[${pidIn(before)}\\] softstop\n`));
      const [replacement] = pidsOf(master, "mended.cf").filter((pid) => pid !== pidIn(before));
      using after = await greeted(ports.mended);
      assertEquals([pidIn(after), await after.ask("setting color")], [replacement, "blue"]);
      // It serves what it has until M is over.
      assertEquals(await before.ask("echo still"), "still");
      assertEquals(await before.ending(), "end of file");
      await gone(pidIn(before));
      assertEquals(pidsOf(master, "mended.cf"), [pidIn(after)]);
    },
  );

  await t.step("a reload keeps the old ones while the new program can't live", async () => {
    using before = await greeted(ports.bad);
    // On a busy machine it ends only after a while.
    site.write("bad.cf", { ...bad, "peer-exit-at-start": 3, "server-soak": 2 });
    assertEquals(await master.reloadUndone(), "bad.cf");
    await master.logs(/reload rolled back for bad\.cf: process \d+ ended .*: exit code 3/);
    assertEquals(await before.ask("echo still"), "still");
    {
      using other = await greeted(ports.bad);
      assertEquals(pidIn(other), pidIn(before));
    }
    site.write("bad.cf", bad);
    await master.reload();
    assertEquals(await before.ending(), "end of file");
  });

  await t.step("one that detaches is replaced, serves on, and is never signalled", async () => {
    using detached = await greeted(ports.detached);
    assertEquals(await detached.ask("detach"), "detached");
    await master.logs(new RegExp(`process ${pidIn(detached)} has detached`));
    using next = await successorOf(pidIn(detached), ports.detached);
    await master.reload();
    assertEquals(await next.ending(), "end of file");
    assertEquals(await detached.ask("echo still"), "still");
    master.process.signal("SIGTERM");
    assertEquals((await master.process.ended()).code, 0);
    // Not by a signal, but by the end of its parent, as LIB-ZC's servers do.
    assertEquals(await detached.ending(), "end of file");
    await site.isGone();
  });
});

Deno.test("a server in C may open as many files as the master at its start, also after an upgrade", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  const settings = { "server-command": peer("server") };
  site.write("x.cf", { ...settings, "server-service": `127.0.0.1:${ports[0]}` });
  // By way of the shim.
  site.write("y.cf", {
    ...settings,
    "server-service": `127.0.0.1:${ports[1]}`,
    "master-chdir": site.dir.path,
  });
  // A shell that stays, since the limit of the parent is what the runtime leaves to be seen.
  const prefix = [
    "sh",
    "-c",
    'ulimit -S -n 300; "$@" & master=$!; trap "kill $master" TERM; wait; wait',
    "sh",
  ];
  const hard = new TextDecoder().decode(
    new Deno.Command("sh", { args: ["-c", "ulimit -H -n"] }).outputSync().stdout,
  ).trim();
  const process = site.run(["-C", site.conf, "-pid-file", site.pidFile, "--DEBUG"], { prefix });
  await process.complains(/listeners: .*\n/);
  const look = async () => {
    for (const port of ports) {
      using client = await greeted(port);
      assertEquals(await client.ask("files"), `300 ${hard}`);
      assertEquals((await peerStart(client)).ignored, [SIGCHLD]);
    }
  };
  await look();
  const master = new Master(site, process);
  master.pid = Number(Deno.readTextFileSync(site.pidFile));
  await master.upgrade();
  await look();
  await master.stop();
});

Deno.test("a server in C whose service comes from a hook gets its settings as arguments", async () => {
  await using site = new Site();
  const port = site.port();
  const service = JSON.stringify({
    ...{ "server-command": peer("server"), "server-service": `a://127.0.0.1:${port}` },
    ...{ "server-proc-count": "1", color: "blue", "server-log": "stdout" },
  });
  const program = new URL("../support/servers/hook_master.ts", import.meta.url).pathname;
  const master = await site.start({ program, env: { SERVICE: service } });
  using client = await greeted(port);
  const { argv } = await peerStart(client);
  assertEquals(argv, [
    ...["c_server", "MASTER"],
    ...["-server-config-path", site.conf],
    ...["-server-service", "a:i5"],
    ...["-color", "blue", "-server-log", "stdout"],
  ]);
  assertEquals(await client.ask("setting color"), "blue");
  await master.stop();
});

Deno.test("no server in C outlives a master that is killed", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("x.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${port}`,
    "server-proc-count": 4,
  });
  const master = await site.start();
  await master.serving("x.cf", 4);
  master.process.signal("SIGKILL");
  await master.process.ended();
  await site.isGone();
});

Deno.test("a stop of the master soft-stops servers in C and waits for them", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("x.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${port}`,
    "server-stop-on-softstop-after": 1,
    "peer-before-softstop": "yes",
  });
  const master = await site.start();
  using client = await greeted(port);
  master.process.signal("SIGTERM");
  await master.logs(/beforeSoftstop\n/);
  assert(isRunning(pidIn(client)));
  assertEquals(await client.ask("echo still"), "still");
  await master.stopped();
});

Deno.test("a server in C that would take an hour is sent SIGTERM when nobody takes its place", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  for (const [index, port] of ports.entries()) {
    site.write(`${index}.cf`, {
      "server-command": peer("server"),
      "server-service": `127.0.0.1:${port}`,
      "peer-before-softstop": "yes",
    });
  }
  const master = await site.start();
  using removed = await greeted(ports[0]);
  site.remove("0.cf");
  await master.reload();
  await gone(pidIn(removed));
  using stopped = await greeted(ports[1]);
  await master.stop();
  assert(!isRunning(pidIn(stopped)));
  assertEquals(master.logged(/is killed/), 0);
});

Deno.test("a server in C that hangs is killed at the end of a stop", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("x.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${port}`,
    "peer-before-softstop": "yes",
    "peer-ignore-sigterm": "yes",
  });
  const master = await site.start({ args: ["-master-stop-timeout", "1"] });
  const [pid] = await master.serving("x.cf", 1);
  await master.stop();
  assertMatch(master.log, new RegExp(`process ${pid} is killed`));
});

/** The ways in which the master starts servers in C. */
const WAYS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  directly: {},
  "by way of the shim": { "master-chdir": "." },
};

Deno.test("spawning siblings, directly and by way of the shim, never leaves a shared listener blocking", async () => {
  await using site = new Site();
  const services = Object.entries(WAYS).map(([way, settings], index) => {
    const file = `${index}.cf`, port = site.port();
    site.write(file, {
      "server-command": peer("server"),
      "server-service": `127.0.0.1:${port}`,
      "server-proc-count": 3,
      ...settings,
    });
    return { way, file, port };
  });
  const master = await site.start();
  await Promise.all(services.map(async ({ way, file, port }) => {
    await master.serving(file, 3);
    using watcher = await greeted(port);
    assertEquals(await watcher.ask("watch"), "watching");
    for (let round = 0; round < 5; round++) {
      const others = pidsOf(master, file).filter((pid) => pid !== pidIn(watcher));
      for (const pid of others) Deno.kill(pid, "SIGKILL");
      for (const pid of others) await master.logs(endOf(pid));
      await master.serving(file, 3);
    }
    const [looked, blocking] = (await watcher.ask("watched")).split(" ").map(Number);
    console.log(`looked ${looked} times while 10 siblings were started ${way}`);
    assert(looked > 10_000, way);
    assertEquals(blocking, 0, way);
  }));
  await master.stop();
});

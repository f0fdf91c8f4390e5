import { assert, assertEquals, assertMatch } from "@std/assert";
import { greeted } from "../support/client.ts";
import { Master, pidIn, Site } from "../support/master.ts";
import { gone, isRunning, peer, peerStart, successorOf } from "../support/peers.ts";
import { descriptorsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** The number of SIGCHLD. */
const SIGCHLD = "17";

function pidsOf(master: Master): number[] {
  return master.servers().map(({ pid }) => pid);
}

Deno.test("a server in C has the arguments and the descriptors of the protocol, and no others", async () => {
  await using site = new Site();
  const port = site.port();
  const service = `127.0.0.1:${port},ssl://127.0.0.1:${site.port()};` +
    `${site.socket("u")} in://fifo:${site.dir.file("f")}`;
  site.write("x.cf", { "server-command": peer("server"), "server-service": service });
  const master = await site.start();
  using client = await greeted(port);
  const { argv, fds, ignored } = await peerStart(client);
  assertEquals(argv, [
    ...["c_server", "MASTER"],
    ...["-server-config-path", site.conf],
    ...["-config", `${site.conf}/x.cf`],
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
  assertEquals(master.servers("x.cf").map(({ pid }) => pid), [pidIn(client)]);
  await master.stop();
});

Deno.test("a server in C may open as many files as the master at its start, also behind an upgrade", async () => {
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

Deno.test("a server in C is told the name and the type of each service, whatever separates them", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port(), site.port()];
  const paths = [site.socket("a"), site.socket("b")];
  const list = `127.0.0.1:${ports[0]};ssl://127.0.0.1:${ports[1]},\tlocal:${paths[0]}  ` +
    `u://${paths[1]} \t;, 127.0.0.1:${ports[2]}`;
  site.write("x.cf", { "server-command": peer("server"), "server-service": list });
  const master = await site.start();
  const greetings: string[] = [];
  for (const target of [...ports, ...paths]) {
    using client = await greeted(target);
    greetings.push(client.greeting.replace(/ \d+ /, " "));
  }
  assertEquals(greetings, ["c - inet", "c ssl inet", "c - inet", "c - unix", "c u unix"]);
  await master.stop();
});

Deno.test("a server in C reads what is written to its fifo", async () => {
  await using site = new Site();
  const fifo = site.dir.file("f");
  site.write("x.cf", { "server-command": peer("server"), "server-service": `in://fifo:${fifo}` });
  const master = await site.start();
  await master.logs(/serviceRegister in fifo\n/);
  for (const line of ["one", "two"]) {
    await Deno.writeTextFile(fifo, `${line}\n`, { create: false });
    await master.logs(new RegExp(`from the fifo: ${line}\n`));
  }
  await master.stop();
});

Deno.test("a server in C that is killed is replaced, and no connection is refused", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("x.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${port}`,
    // Each death is one too many within the time that makes a process healthy.
    "server-backoff-max": 0,
  });
  const master = await site.start();
  let client = await greeted(port);
  const descriptors = descriptorsOf(master.pid).size;
  const times: number[] = [];
  for (let round = 0; round < 10; round++) {
    // An early death would delay the next start.
    await new Promise((resolve) => setTimeout(resolve, 120));
    const pid = pidIn(client);
    client.close();
    const startedAt = performance.now();
    Deno.kill(pid, "SIGKILL");
    client = await successorOf(pid, port);
    times.push(performance.now() - startedAt);
    await master.logs(new RegExp(`process ${pid} ended after \\S+ \\S+: signal SIGKILL`));
  }
  client.close();
  times.sort((a, b) => a - b);
  console.log(
    `answer after SIGKILL: median ${times[5].toFixed(1)} ms, worst ${times[9].toFixed(1)}`,
  );
  // A start that is under way has some more.
  await eventually(() => descriptorsOf(master.pid).size <= descriptors, {
    what: "the master to have no more descriptors than before",
  });
  await master.stop();
});

Deno.test("a reload soft-stops servers in C when their successors run, and keeps the socket", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { "server-command": peer("server"), "server-service": `127.0.0.1:${port}` };
  site.write("x.cf", { ...settings, "server-stop-on-softstop-after": 1 });
  const master = await site.start();
  using before = await greeted(port);
  site.write("x.cf", { ...settings, color: "blue" });
  await master.reload();
  await master.logs(new RegExp(`c_server\\[${pidIn(before)}\\] softstop\n`));
  const [replacement] = pidsOf(master).filter((pid) => pid !== pidIn(before));
  using after = await greeted(port);
  assertEquals([pidIn(after), await after.ask("setting color")], [replacement, "blue"]);
  // It serves what it has until M is over.
  assertEquals(await before.ask("echo still"), "still");
  assertEquals(await before.ending(), "end of file");
  await gone(pidIn(before));
  assertEquals(pidsOf(master), [pidIn(after)]);
  await master.stop();
});

Deno.test("a reload keeps the old servers in C while the new program can't live", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { "server-command": peer("server"), "server-service": `127.0.0.1:${port}` };
  site.write("x.cf", settings);
  const master = await site.start();
  using before = await greeted(port);
  site.write("x.cf", { ...settings, "peer-exit-at-start": 3 });
  assertEquals(await master.reloadUndone(), "x.cf");
  await master.logs(/reload rolled back for x\.cf: process \d+ ended .*: exit code 3/);
  assertEquals(await before.ask("echo still"), "still");
  assertEquals(
    pidIn(await greeted(port).then((client) => (client.close(), client))),
    pidIn(before),
  );
  site.write("x.cf", settings);
  await master.reload();
  assertEquals(await before.ending(), "end of file");
  await master.stop();
});

Deno.test("a server in C that detaches is replaced, serves on, and is never signalled", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("x.cf", { "server-command": peer("server"), "server-service": `127.0.0.1:${port}` });
  const master = await site.start({ args: ["-master-stop-timeout", "1"] });
  await new Promise((resolve) => setTimeout(resolve, 120));
  using detached = await greeted(port);
  assertEquals(await detached.ask("detach"), "detached");
  await master.logs(new RegExp(`process ${pidIn(detached)} has detached`));
  using next = await successorOf(pidIn(detached), port);
  await master.reload();
  assertEquals(await next.ending(), "end of file");
  assertEquals(await detached.ask("echo still"), "still");
  master.process.signal("SIGTERM");
  assertEquals((await master.process.ended()).code, 0);
  // Not by a signal, but by the end of its parent, as LIB-ZC's servers do.
  assertEquals(await detached.ending(), "end of file");
  await site.isGone();
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

for (
  const [way, settings] of [
    ["directly", {}],
    ["by way of the shim", { "master-chdir": "." }],
  ] as const
) {
  Deno.test(`spawning siblings ${way} never leaves a shared listener blocking`, async () => {
    await using site = new Site();
    const port = site.port();
    site.write("x.cf", {
      "server-command": peer("server"),
      "server-service": `127.0.0.1:${port}`,
      "server-proc-count": 3,
      ...settings,
    });
    const master = await site.start();
    await master.serving("x.cf", 3);
    using watcher = await greeted(port);
    assertEquals(await watcher.ask("watch"), "watching");
    for (let round = 0; round < 5; round++) {
      const others = pidsOf(master).filter((pid) => pid !== pidIn(watcher));
      for (const pid of others) Deno.kill(pid, "SIGKILL");
      for (const pid of others) {
        // On a busy machine its descriptors are closed long before it is gone, as if it had detached.
        await master.logs(new RegExp(`process ${pid}(?: ended|, which was detached)`));
      }
      await master.serving("x.cf", 3);
    }
    const [looked, blocking] = (await watcher.ask("watched")).split(" ").map(Number);
    console.log(`looked ${looked} times while 10 siblings were started`);
    assert(looked > 10_000);
    assertEquals(blocking, 0);
    await master.stop();
  });
}

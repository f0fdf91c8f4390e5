import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greeted, isRefused } from "../support/client.ts";
import { MASTER_PROGRAM, pidIn, Site } from "../support/master.ts";
import { peer, successorOf } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

const HTTP_SERVER = `${Deno.execPath()} run -A ${
  new URL("../../examples/http_server.ts", import.meta.url).pathname
}`;
const SCRIPT = new URL("../peers/control.sh", import.meta.url).pathname;

/** How a run of the script ended. */
interface Run {
  readonly code: number;
  readonly output: string;
}

/** Runs the script as an operator does, from a directory where it all is. */
async function control(site: Site, command: string): Promise<Run> {
  // Into files, since the master that it starts keeps them open.
  const process = site.execute(["sh", "-c", 'sh "$0" "$1" >out 2>errors', SCRIPT, command], {
    env: {
      MASTER_CMD: `${Deno.execPath()} run -A ${MASTER_PROGRAM}`,
      SERVICE_DIR: "./conf/",
      PID_FILE: "./master.pid",
      LOG_SERVICE: "./log.socket,./logs/,day",
      SERVER_LOG: "masterlog,./log.socket",
    },
  });
  const { code } = await process.ended(30_000);
  return { code, output: Deno.readTextFileSync(site.dir.file("out")) };
}

function masterPid(site: Site): string {
  return Deno.readTextFileSync(site.pidFile);
}

Deno.test("the control script starts, reloads, restarts and stops the master", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  Deno.mkdirSync(site.dir.file("logs"));
  site.write("a.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${ports[0]}`,
    "server-log": "masterlog,./log.socket",
  });
  site.serve("b.cf", {
    mode: "coroutine",
    service: ports[1],
    "server-log": "masterlog,./log.socket",
  });

  assertEquals(await control(site, "stop"), { code: 1, output: "it is not running\n" });
  assertEquals(await control(site, "reload"), { code: 1, output: "it is not running\n" });
  assertEquals(await control(site, "start"), { code: 0, output: "" });
  const first = await greeted(ports[0]);
  assertMatch(masterPid(site), /^\d+\n+$/);
  assertEquals(masterPid(site).length, 10);
  assertEquals(await control(site, "start"), { code: 1, output: "it is running already\n" });
  assertEquals(await first.ask("echo still"), "still");
  first.close();

  site.write("a.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${ports[0]}`,
    color: "blue",
  });
  assertEquals(await control(site, "reload"), { code: 0, output: "" });
  const second = await successorOf(pidIn(first), ports[0]);
  assertEquals(await second.ask("setting color"), "blue");
  second.close();

  const before = masterPid(site);
  assertEquals(await control(site, "restart"), { code: 0, output: "" });
  assert(masterPid(site) !== before);
  const third = await greeted(ports[1]);
  assertEquals(await third.ask("echo hello"), "hello");
  third.close();

  assertEquals(await control(site, "stop"), { code: 0, output: "" });
  for (const port of ports) assert(await isRefused(port));
  await site.isGone();
  const [{ name }] = [...Deno.readDirSync(site.dir.file("logs"))];
  const log = Deno.readTextFileSync(site.dir.file(`logs/${name}`));
  assertMatch(name, /^\d{8}\.log$/);
  assertMatch(log, /^\d\d:\d\d:\d\d master\[\d+\] listeners: /m);
  assertMatch(log, /^\d\d:\d\d:\d\d coroutine\[\d+\] serviceRegister - inet/m);
});

/** What keeps servers from ending within the five seconds that the script waits for. */
const SLOW: Readonly<Record<string, (site: Site, port: number) => Promise<() => void>>> = {
  "a server in C takes the 5 s of its setting": async (site, port) => {
    site.write("a.cf", {
      "server-command": peer("server"),
      "server-service": `127.0.0.1:${port}`,
      "server-stop-on-softstop-after": 5,
    });
    return await clientOf(site, port);
  },
  "a client stays connected": async (site, port) => {
    site.serve("a.cf", { mode: "coroutine", service: port });
    return await clientOf(site, port);
  },
  "a client of HTTP stays connected": async (site, port) => {
    site.write("a.cf", {
      "server-command": HTTP_SERVER,
      "server-service": `127.0.0.1:${port}`,
      "server-stop-on-softstop-after": 8,
    });
    assertEquals(await control(site, "start"), { code: 0, output: "" });
    return await eventually(async () => {
      const client = await Deno.connect({ port }).catch(() => undefined);
      return client && (() => client.close());
    }, { what: "a connection" });
  },
  "a server hangs": async (site, port) => {
    site.serve("a.cf", { mode: "aio", service: port });
    const close = await clientOf(site, port);
    const server = site.processes().find(({ argv }) => argv.includes("MASTER"))!;
    Deno.kill(server.pid, "SIGSTOP");
    return close;
  },
};

/** Starts the master, and connects. */
async function clientOf(site: Site, port: number): Promise<() => void> {
  assertEquals(await control(site, "start"), { code: 0, output: "" });
  const client = await greeted(port);
  return () => client.close();
}

for (const [why, begin] of Object.entries(SLOW)) {
  Deno.test(`a restart by the control script ends with a running system though ${why}`, async () => {
    await using site = new Site();
    const port = site.port();
    Deno.mkdirSync(site.dir.file("logs"));
    const close = await begin(site, port);
    const before = parseInt(masterPid(site));
    assertEquals(await control(site, "restart"), { code: 0, output: "" });
    const after = parseInt(masterPid(site));
    assert(after > 0 && after !== before, `${after} after ${before}`);
    // The old one has gone on with what it had, and the new one has its address.
    const servers = () =>
      site.processes().filter(({ parent, argv }) => parent === after && argv.includes("MASTER"));
    await eventually(() => servers().length === 1, { what: "the new server" });
    (await Deno.connect({ port })).close();
    close();
    assertEquals(await control(site, "stop"), { code: 0, output: "" });
    // The one that hangs is ended by force, in its time.
    for (const { pid } of site.processes()) if (why.includes("hangs")) Deno.kill(pid, "SIGCONT");
    await site.isGone(20_000);
  });
}

Deno.test("a master has its lock soon after its start", async () => {
  await using site = new Site();
  site.write("a.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const startedAt = performance.now();
    const process = site.run(["-C", site.conf, "-pid-file", site.pidFile]);
    // Trying the lock could take it away from the master; the pid comes right after it.
    await eventually(() => pidFileHas(process.pid), { what: "the lock" });
    times.push(performance.now() - startedAt);
    process.signal("SIGTERM");
    assertEquals((await process.ended()).code, 0);
  }
  times.sort((a, b) => a - b);
  console.log(`start to lock: ${times.map((time) => time.toFixed(0)).join(" ")} ms`);

  function pidFileHas(pid: number): boolean {
    return existsSync(site.pidFile) && parseInt(masterPid(site)) === pid;
  }
});

import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greetedOnceOpen, isRefused } from "../support/client.ts";
import { MASTER_PROGRAM, pidIn, Site } from "../support/master.ts";
import { isRunning, peer, successorOf } from "../support/peers.ts";
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
  // The script waits for the lock, which the master has before it opens its addresses.
  const first = await greetedOnceOpen(ports[0]);
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
  const third = await greetedOnceOpen(ports[1]);
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

Deno.test("a restart by the control script ends with a running system, whatever keeps the old servers", async () => {
  await using site = new Site();
  Deno.mkdirSync(site.dir.file("logs"));
  const ports = { c: site.port(), kept: site.port(), http: site.port(), hung: site.port() };
  // A server in C takes the time of its setting, longer than the five seconds that the script waits.
  site.write("c.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${ports.c}`,
    "server-stop-on-softstop-after": 5,
  });
  // Clients stay connected, one of them to a server of HTTP.
  site.serve("kept.cf", { mode: "coroutine", service: ports.kept });
  site.write("http.cf", {
    "server-command": HTTP_SERVER,
    "server-service": `127.0.0.1:${ports.http}`,
    "server-stop-on-softstop-after": 8,
  });
  // And one is stopped.
  site.serve("hung.cf", { mode: "aio", service: ports.hung });
  assertEquals(await control(site, "start"), { code: 0, output: "" });
  const clients = await Promise.all([ports.c, ports.kept, ports.hung].map(greetedOnceOpen));
  const web = await Deno.connect({ port: ports.http });
  const hung = pidIn(clients[2]);
  Deno.kill(hung, "SIGSTOP");

  const before = parseInt(masterPid(site));
  assertEquals(await control(site, "restart"), { code: 0, output: "" });
  const after = parseInt(masterPid(site));
  assert(after > 0 && after !== before, `${after} after ${before}`);
  // The old one has gone on with what it had, and the new one has its addresses.
  const servers = () =>
    site.processes().filter(({ parent, argv }) => parent === after && argv.includes("MASTER"));
  await eventually(() => servers().length === 4, { what: "the new servers" });
  for (const port of Object.values(ports)) (await Deno.connect({ port })).close();
  for (const client of clients) client.close();
  web.close();
  assertEquals(await control(site, "stop"), { code: 0, output: "" });
  // The one that hangs is ended by force, in its time.
  if (isRunning(hung)) Deno.kill(hung, "SIGCONT");
  await site.isGone(20_000);
});

/** How long a master may take to its lock, in milliseconds, on a busy machine. */
const LOCKED_MS = 10_000;

Deno.test("a master has its lock soon after its start", async () => {
  await using site = new Site();
  site.write("a.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const process = site.run(["-C", site.conf, "-pid-file", site.pidFile]);
  // Trying the lock could take it away from the master; the pid comes right after it.
  const isNamed = () => existsSync(site.pidFile) && parseInt(masterPid(site)) === process.pid;
  await eventually(isNamed, { what: "the lock", withinMs: LOCKED_MS });
  process.signal("SIGTERM");
  assertEquals((await process.ended()).code, 0);
});

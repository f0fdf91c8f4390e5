import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greeted, isRefused } from "../support/client.ts";
import { MASTER_PROGRAM, pidIn, Site } from "../support/master.ts";
import { peer, successorOf } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

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

Deno.test("a master has its lock soon after its start", async () => {
  await using site = new Site();
  site.write("a.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
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

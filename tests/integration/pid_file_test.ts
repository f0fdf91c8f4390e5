import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { MASTER_PROGRAM, Site } from "../support/master.ts";

Deno.test("the pid file holds the master's pid, padded to ten characters", async () => {
  await using site = new Site();
  site.dir.write("master.pid", "an older and longer content\nof two lines\n");
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  assertEquals(Deno.readTextFileSync(site.pidFile), String(master.pid).padEnd(10));
  await master.stop();
});

Deno.test("a second master is refused, and changes nothing", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  const second = site.run(["-C", site.conf, "-pid-file", site.pidFile]);
  const { code, stderr } = await second.ended();
  assertEquals(code, 1);
  assertMatch(stderr, /Cannot lock .*: another process holds the lock, expected no running master/);
  assertEquals(Deno.readTextFileSync(site.pidFile), String(master.pid).padEnd(10));
  assertEquals((await master.serving("a.cf", 1)).length, 1);
  await master.stop();
});

Deno.test("--try-lock tells whether a master runs, and does nothing else", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const tryLock = async () =>
    (await site.run(["-C", site.conf, "-pid-file", site.pidFile, "--try-lock"]).ended()).code;
  assertEquals(await tryLock(), 0);
  const master = await site.start();
  assertEquals(await tryLock(), 1);
  assertEquals(Deno.readTextFileSync(site.pidFile), String(master.pid).padEnd(10));
  await master.stop();
  assertEquals(await tryLock(), 0);
});

Deno.test("the lock is free as soon as a master has been killed", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  master.process.signal("SIGKILL");
  await master.process.ended();
  const { code } = await site.run(["-pid-file", site.pidFile, "--try-lock"]).ended();
  assertEquals(code, 0);
});

Deno.test("without -pid-file it is master.pid in the working directory", async () => {
  await using site = new Site();
  assertEquals((await site.run(["--try-lock"]).ended()).code, 0);
  assert(existsSync(site.dir.file("master.pid")));
});

Deno.test("-sleep waits for that long, and ends with 0", async () => {
  await using site = new Site();
  const startMs = performance.now();
  assertEquals((await site.run(["-sleep", "300"]).ended()).code, 0);
  assert(performance.now() - startMs >= 300);
});

/** What LIB-ZC's users run their master with: the calls of its control script, in its order. */
const CONTROL_SCRIPT = `
case $1 in
start)
  $MASTER_CMD -pid-file $PID_FILE --try-lock || { echo already running; exit 1; }
  $MASTER_CMD -C $CONF -pid-file $PID_FILE &
  while $MASTER_CMD -pid-file $PID_FILE --try-lock; do $MASTER_CMD -sleep 100; done
  ;;
stop)
  $MASTER_CMD -pid-file $PID_FILE --try-lock && { echo not running; exit 1; }
  kill $(head -n 1 $PID_FILE)
  for i in 5 4 3 2 1; do
    $MASTER_CMD -pid-file $PID_FILE --try-lock && exit 0
    sleep 1
  done
  exit 2
  ;;
reload)
  $MASTER_CMD -pid-file $PID_FILE --try-lock && { echo not running; exit 1; }
  kill -HUP $(head -n 1 $PID_FILE)
  ;;
esac
`;

Deno.test("a control script starts, reloads and stops a master", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, version: "one" });
  const script = site.dir.write("control.sh", CONTROL_SCRIPT);
  const control = async (command: string) => {
    const env = {
      MASTER_CMD: `${Deno.execPath()} run -A ${MASTER_PROGRAM}`,
      PID_FILE: site.pidFile,
      CONF: site.conf,
    };
    const { code, stdout } = await site.execute(["sh", script, command], { env }).ended(30_000);
    return `${code}${stdout.trim() && ` ${stdout.trim()}`}`;
  };
  assertEquals(await control("stop"), "1 not running");
  assertEquals(await control("start"), "0");
  assertEquals(await control("start"), "1 already running");
  site.serve("a.cf", { mode: "coroutine", service: port, version: "two" });
  assertEquals(await control("reload"), "0");
  assertEquals(await control("stop"), "0");
  await site.isGone();
});

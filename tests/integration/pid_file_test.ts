import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greeted, greetedOnceOpen } from "../support/client.ts";
import { MASTER_PROGRAM, pidText, Site } from "../support/master.ts";
import { CMaster, peer } from "../support/peers.ts";
import { TestProcess } from "../support/processes.ts";
import { eventually, PATIENCE_MS } from "../support/wait.ts";

const CONTROL = new URL("../support/control.sh", import.meta.url).pathname;

Deno.test("the pid file holds the master's process id alone, for a shell too", async () => {
  await using site = new Site();
  Deno.writeTextFileSync(site.pidFile, "something longer that was there before\n");
  const master = await site.start();
  assertEquals(Deno.readTextFileSync(site.pidFile), pidText(master.pid));
  const shell = site.execute(["sh", "-c", 'ls "/proc/$(cat "$0")/fd"', site.pidFile]);
  assertEquals((await shell.ended()).code, 0);
  await master.stop();
});

Deno.test("the pid file is its owner's alone, and stays when the master ends", async () => {
  for (const before of [undefined, 0o666]) {
    await using site = new Site();
    if (before !== undefined) {
      Deno.writeTextFileSync(site.pidFile, "");
      Deno.chmodSync(site.pidFile, before);
    }
    const master = await site.start();
    assertEquals(Deno.statSync(site.pidFile).mode! & 0o777, 0o600);
    await master.stop();
    assert(existsSync(site.pidFile));
  }
});

Deno.test("a master in C and this one exclude each other", async () => {
  await using site = new Site();
  const args = ["-C", site.conf, "-pid-file", site.pidFile];
  const refusal = async (start: TestProcess) => {
    const { code, stderr } = await start.ended();
    assertEquals(code, 1);
    return stderr;
  };
  const master = await site.start();
  assertMatch(await refusal(site.execute([peer("master"), ...args])), /master\.pid/);
  await master.stop();
  const other = await CMaster.start(site);
  const named = `process ${other.pid} ("c_master") holds the lock, ` +
    "expected no running master, or another -pid-file";
  assertStringIncludes(await refusal(site.run(args)), named);
  assertEquals((await site.run([...args, "--try-lock"]).ended()).code, 1);
  await other.stop();
  await (await site.start()).stop();
});

Deno.test("a second master with the same pid file says so, exits 1 and changes nothing", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const pids = await master.serving("a.cf", 1);
  const second = site.run(["-C", site.conf, "-pid-file", site.pidFile]);
  const { code, stderr } = await second.ended();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    new RegExp(`pid-file: Cannot lock ".*": process ${master.pid} \\("deno"\\) holds the lock, `),
  );
  assertEquals(Deno.readTextFileSync(site.pidFile), pidText(master.pid));
  assertEquals(await master.serving("a.cf", 1), pids);
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("--try-lock exits 0 when no master runs and 1 when one does, and changes nothing", async () => {
  await using site = new Site();
  const tryLock = () => site.run(["-pid-file", site.pidFile, "--try-lock"]).ended();
  assertEquals((await tryLock()).code, 0);
  Deno.writeTextFileSync(site.pidFile, "content");
  assertEquals((await tryLock()).code, 0);
  assertEquals(Deno.readTextFileSync(site.pidFile), "content");
  const master = await site.start();
  assertEquals(await tryLock(), { code: 1, signal: null, stdout: "", stderr: "" });
  assertEquals(Deno.readTextFileSync(site.pidFile), pidText(master.pid));
  await master.stop();
  assertEquals(await tryLock(), { code: 0, signal: null, stdout: "", stderr: "" });
});

Deno.test("--try-lock on a pid file in a missing folder says so and exits 1", async () => {
  await using site = new Site();
  const process = site.run(["-pid-file", site.dir.file("none/pid"), "--try-lock"]);
  const { code, stderr } = await process.ended();
  assertEquals(code, 1);
  assertMatch(stderr, /pid-file: Cannot lock ".*\/none\/pid": no such file or directory/);
});

Deno.test("a named pipe at the path of the pid file is refused at the setting", async () => {
  await using site = new Site();
  const path = site.dir.file("pipe");
  assert((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
  const { code, stderr } = await site.run(["-C", site.conf, "-pid-file", path]).ended();
  const expected = "a file that can be made and written, in a directory that exists";
  const message =
    `pid-file: Cannot lock "${path}": it is no regular file (open: EINVAL), expected ${expected}\n`;
  assertEquals(code, 1);
  assertStringIncludes(stderr, message);
});

Deno.test("-sleep waits for so many milliseconds, exits 0 and does nothing else", async () => {
  await using site = new Site();
  const startMs = performance.now();
  const { code, stdout, stderr } = await site.run(["-sleep", "300"]).ended();
  assertEquals([code, stdout, stderr], [0, "", ""]);
  assert(performance.now() - startMs > 299);
  assertEquals([...Deno.readDirSync(site.dir.path)].map(({ name }) => name), ["conf"]);
});

Deno.test("a signal that comes as soon as the pid is in its file is obeyed", async (t) => {
  for (const signal of ["SIGHUP", "SIGTERM"] as const) {
    await t.step(signal, async () => {
      await using site = new Site();
      const port = site.port();
      site.serve("a.cf", { mode: "coroutine", service: port });
      const log = `${site.dir.file("log.sock")},${site.dir.file("log.")},day`;
      const args = ["-C", site.conf, "-pid-file", site.pidFile, "-log-service", log];
      const master = site.run(args);
      const padded = pidText(master.pid);
      const hasPid = () =>
        existsSync(site.pidFile) && Deno.readTextFileSync(site.pidFile) === padded;
      // Without a pause, since what is looked for is a moment.
      for (const endMs = performance.now() + PATIENCE_MS; !hasPid();) {
        assert(performance.now() < endMs, "no pid");
      }
      master.signal(signal);
      if (signal === "SIGHUP") {
        (await greetedOnceOpen(port)).close();
        master.signal("SIGTERM");
      }
      const { code, signal: endedBy, stderr } = await master.ended();
      assertEquals([code, endedBy], [0, null], stderr);
      await site.isGone();
    });
  }
});

Deno.test("a control script can start, reload and stop a master", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "aio", service: port, own: "first" });
  const control = async (action: string) => {
    await using script = new TestProcess(["sh", CONTROL, action], {
      cwd: site.dir.path,
      env: {
        ...site.environment,
        MASTER_CMD: `${Deno.execPath()} run -A ${MASTER_PROGRAM}`,
        CONF: site.conf,
        PID_FILE: site.pidFile,
        LOG: site.dir.file("log"),
      },
    });
    const { code, stdout } = await script.ended();
    return [code, stdout.trim()];
  };
  const setting = async () => {
    // The script waits for the lock, which the master has before it opens its addresses.
    using client = await greetedOnceOpen(port);
    return await client.ask("setting own");
  };
  assertEquals(await control("stop"), [1, "does not run"]);
  assertEquals(await control("start"), [0, ""]);
  assertEquals(await setting(), "first");
  assertEquals(await control("start"), [1, "runs already"]);
  site.serve("a.cf", { mode: "aio", service: port, own: "second" });
  assertEquals(await control("reload"), [0, ""]);
  await eventually(async () => await setting() === "second", { what: "the new setting" });
  assertEquals(await control("stop"), [0, ""]);
  await site.isGone();
});

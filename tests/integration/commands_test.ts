/** The commands for a master as a whole: start, upgrade, restart and stop. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { EXIT } from "../../src/commands/connect.ts";
import type { ControlClient } from "../../src/control/client.ts";
import { AT_FDCWD } from "../../src/os/ffi/constants.ts";
import { cString, libc } from "../../src/os/ffi/libc.ts";
import { greeted } from "../support/client.ts";
import {
  becomes,
  controlOf,
  failing,
  runHere,
  serveSlowly,
  zc,
  zcHere,
} from "../support/commands.ts";
import { answering, type Master, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { eventually, within } from "../support/wait.ts";

Deno.test("an upgrade removes the control socket whose path has changed", async () => {
  await using site = new Site();
  const own = site.dir.file("own.cf"), first = site.dir.file("first"), next = site.dir.file("next");
  serveSmall(site, "a.cf", site.port());
  Deno.writeTextFileSync(own, `master-control = ${first}\n`);
  const master = await site.start({ args: ["-config", own] });
  await master.serving("a.cf", 1);
  Deno.writeTextFileSync(own, `master-control = ${next}\n`);
  await master.upgrade();
  await eventually(() => existsSync(next), { what: "the new socket" });
  await eventually(() => !existsSync(first), { what: "the end of the old socket" });
  // The old master waits for the new one, so it is not its end that has removed the file.
  await master.logs(/its servers have finished, it waits/);
  Deno.writeTextFileSync(own, "master-control = off\n");
  await master.upgrade();
  await eventually(() => !existsSync(next), { what: "the end of the other socket" });
  await master.stop();
});

Deno.test("upgrade says why it has failed, restart does not stop a master that could not start again, and the master goes on; upgrade waits for the new master, whose control socket is at the same path", async () => {
  await using site = new Site();
  const port = site.port();
  serveSmall(site, "a.cf", port);
  const master = await site.start();
  const [pid] = await master.serving("a.cf", 1);
  site.write("a.cf", { "server-command": failing(site), "server-service": "nonsense:" });
  const failed = await zcHere(site, "upgrade");
  assertEquals(failed.code, 1);
  assertMatch(
    failed.err,
    /^The upgrade has failed, this master goes on: process \d+: it has ended: exit code 1\n.*a\.cf:2: server-service: Cannot /m,
  );
  const without = await runHere(["restart", "-pid-file", site.pidFile]);
  assertEquals(without.code, 78);
  assertMatch(without.err, /Cannot read argument "-C": it is missing/);
  const broken = await zcHere(site, "restart");
  assertEquals([broken.code, broken.out], [78, ""]);
  assertMatch(broken.err, /a\.cf:2: server-service: Cannot /);
  assertEquals(await answering(port), pid);

  serveSmall(site, "a.cf", port);
  using old = await controlOf(site);
  const { code, out, err } = await zc(site, "upgrade");
  assertEquals(code, 0, err + master.log);
  const [, next, before] = /^master (\d+) has taken over from (\d+)\n$/.exec(out)!.map(Number);
  assertEquals(before, master.pid);
  await within(old.closed(), { what: "the end of the connection to the old master" });
  using client = await controlOf(site);
  assertEquals((await client.request("hello")).pid, next);
  await becomes(client, "a.cf", "ready");
  await answering(port);
  master.pid = next;
  await stopBy(client, master);
});

/** Stops a master by its control socket, and waits until nothing is left. */
async function stopBy(client: ControlClient, master: Master): Promise<void> {
  assertEquals(await client.request("stop"), null);
  await within(client.closed(), { what: "the end of the connection" });
  await master.stopped();
}

Deno.test("stop waits for the end of the master, and tells what it waits for", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const conn = await greeted(port);
  const stopping = site.run(["stop", "-C", site.conf, "-pid-file", site.pidFile]);
  await stopping.complains(/waiting for a\.cf: process \d+ draining, 1 connection\n/);
  // It can still be asked how far it is, and a second stop only waits, too.
  const status = await zcHere(site, "status");
  assertEquals(status.code, 4, status.err);
  assertMatch(
    status.out,
    new RegExp(`^master ${master.pid}: stopping, started .*\n[^]*\na\\.cf +stopped `),
  );
  const again = site.run(["stop", "-C", site.conf, "-pid-file", site.pidFile]);
  await again.complains(/waiting for a\.cf: process \d+ draining, 1 connection\n/);
  const refused = await zcHere(site, "reload");
  assertEquals(refused.code, 2);
  assertStringIncludes(refused.err, "Cannot change services: the master stops");
  // Another master takes the control socket with the rest.
  const next = await zc(site, "start", "--daemon");
  assertEquals(next.code, 0, next.err);
  assertMatch((await zcHere(site, "status")).out, /^master \d+: serving .*\n[^]*\na\.cf +ready /);
  conn.close();
  assertEquals((await again.ended()).code, 0);
  const { code } = await stopping.ended();
  assertEquals([code, stopping.stdout], [0, `master ${master.pid} has stopped\n`]);
  assertEquals((await zcHere(site, "stop")).code, 0);
  await master.stopped();
});

const STARTING = "a\\.cf: process \\d+ starting for .+ s of 30 s \\(server-ready-timeout\\)";
const UPGRADING = "the new master for .+ s of 2 min \\(master-upgrade-timeout\\)";

Deno.test("start, reload, restart and upgrade tell what they wait for, how long and how long at most, and so does status", async () => {
  await using site = new Site();
  const release = site.dir.file("release");
  serveSlowly(site, release);
  const waits = async (args: readonly string[], what: string, name?: string) => {
    const process = site.run([...args, "-C", site.conf, "-pid-file", site.pidFile]);
    await process.complains(new RegExp(`^waiting for ${what}$`, "m"));
    const { out } = await zcHere(site, "status"), [, change] = out.split("\n");
    if (name === undefined) assertEquals(change, "");
    else assertMatch(change, new RegExp(`^${name} under way for .+, waiting for ${what}$`));
    Deno.writeTextFileSync(release, "");
    assertEquals((await process.ended()).code, 0, process.stderr);
    Deno.removeSync(release);
  };
  await waits(["start", "--daemon"], STARTING);
  await waits(["reload"], STARTING, "reload");
  await waits(["reload", "a.cf"], STARTING, "reload of a\\.cf");
  await waits(["restart", "a.cf"], STARTING, "restart of a\\.cf");
  await waits(["upgrade"], UPGRADING, "upgrade");
  const { out, err } = await zcHere(site, "status");
  assertEquals(out.split("\n")[1], "", err);
  assertEquals((await zcHere(site, "stop")).code, 0);
  await site.isGone();
});

Deno.test("start --daemon returns when all services are ready, and says why if one is not", async () => {
  await using site = new Site();
  const port = site.port();
  serveSmall(site, "a.cf", port);
  const started = await zc(site, "start", "--daemon");
  assertEquals(started.code, 0, started.err);
  assertMatch(started.out, /^master \d+ runs, all services are ready/);
  await answering(port);
  const twice = await zc(site, "start", "--daemon");
  assertEquals(twice.code, 1);
  assertMatch(twice.err, /holds the lock/);
  const stopped = await zcHere(site, "stop");
  assertEquals(stopped.code, 0, stopped.err);
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-command": failing(site),
    // Its processes end much earlier, on a busy machine, too.
    "server-ready-timeout": 5,
    "server-proc-cuont": 1,
  });
  const failed = await zc(site, "start", "--daemon");
  assertEquals(failed.code, 1, failed.out);
  // It may be the cause, so it is told before the wait.
  assertMatch(failed.err, /^warning: .*: Cannot find setting "server-proc-cuont": /);
  assertMatch(failed.err, /a\.cf is not ready: .*exit code 1/);
  // Its output is shown, but controls no terminal.
  assertMatch(failed.err, / a\[\d+\] cannot go on \[6n$/m);
  assert(!failed.err.includes("\x1b"), JSON.stringify(failed.err));
  site.write("a.cf", { "server-command": failing(site), "server-service": "nonsense:" });
  const wrong = await zc(site, "start", "--daemon");
  assertEquals(wrong.code, 78);
  assertMatch(wrong.err, /a\.cf:2: server-service: Cannot /);
  await site.isGone();
});

Deno.test("start --daemon says that there is no service", async () => {
  await using site = new Site();
  site.dir.write("conf/web.conf", "");
  const { code, out, err } = await zc(site, "start", "--daemon");
  assertEquals(code, 0, err);
  assertMatch(out, /^master \d+ runs, without a service; its output is in /);
  assertStringIncludes(err, "no service in it (web.conf: no name that ends in .cf)");
  await zcHere(site, "stop");
});

Deno.test("start --daemon does not wait for a named pipe in the place of its output file", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const output = `${site.pidFile}.log`;
  assertEquals(libc().mkfifoat(AT_FDCWD, cString(output), 0o600), 0);
  const { code, err } = await zc(site, "start", "--daemon");
  assertEquals(code, 78);
  assertMatch(err, /^argument -pid-file: Cannot write ".*master\.pid\.log": .*no reader \(/);
  assert(!existsSync(site.pidFile));
});

Deno.test("start --daemon refuses a directory as its pid file before it makes anything", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const path = site.dir.file("directory");
  Deno.mkdirSync(path);
  const { code, err } = await runHere(["start", "--daemon", "-C", site.conf, "-pid-file", path]);
  assertEquals(code, 78);
  const expected = ": a directory, expected a file that can be made and written";
  assertEquals(err, `argument -pid-file: Cannot lock "${path}"${expected}\n`);
  assert(!existsSync(`${path}.log`));
});

Deno.test("start --daemon shows the output that it has opened, whatever takes the place of the file meanwhile", async () => {
  await using site = new Site();
  // It fails after the file is replaced.
  const go = site.dir.file("go"), output = `${site.pidFile}.log`;
  const failing = site.dir.write(
    "failing.ts",
    `for (;; await new Promise((resolve) => setTimeout(resolve, 10))) {
      try {
        Deno.statSync(${JSON.stringify(go)});
        break;
      } catch { /* not yet */ }
    }
    console.error("the true reason"); Deno.exit(78);`,
  );
  site.write("a.cf", { "server-command": failing, "server-service": `127.0.0.1:${site.port()}` });
  const start = zc(site, "start", "--daemon");
  await eventually(() => existsSync(`${site.pidFile}.sock`), { what: "the master" });
  Deno.renameSync(output, `${output}.old`);
  assertEquals(libc().mkfifoat(AT_FDCWD, cString(output), 0o600), 0);
  Deno.writeTextFileSync(go, "");
  const { code, err } = await start;
  assertEquals(code, 1);
  assertMatch(err, /the true reason/);
  await site.isGone();
});

Deno.test("master-control = off makes no socket, and a path that can't be used is one warning", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const silent = await site.start({ args: ["-master-control", "off"] });
  await silent.serving("a.cf", 1);
  assert(!existsSync(`${site.pidFile}.sock`));
  await silent.stop();
  const master = await site.start({ args: ["-master-control", "/nowhere/control.sock"] });
  await master.logs(/ warn \S+ no control socket, so commands such as status do not work: /);
  await master.serving("a.cf", 1);
  await master.stop();
});

Deno.test("restart replaces the master, and restart, stop and start with a service only its processes", async () => {
  await using site = new Site();
  const [a, b] = [site.port(), site.port()];
  serveSmall(site, "a.cf", a);
  serveSmall(site, "b.cf", b);
  const master = await site.start();
  const [first] = await master.serving("a.cf", 1), [other] = await master.serving("b.cf", 1);
  const does = async (...args: readonly string[]) => {
    // What only talks to the master runs here.
    const run = args.join() === "restart" ? zc : zcHere;
    const { code, out, err } = await run(site, ...args);
    assertEquals(code, 0, err);
    return out;
  };
  assertMatch(await does("restart", "a.cf"), /^service a\.cf +replaced .*\n[^]*committed in /);
  await eventually(async () => await answering(a) !== first, { what: "the new process" });
  assertMatch(await does("stop", "a.cf"), /^service a\.cf +removed .*\n[^]*committed in /);
  await assertRejects(() => Deno.connect({ port: a }), Deno.errors.ConnectionRefused);
  assertMatch(await does("start", "a.cf"), /^service a\.cf +added .*\n[^]*committed in /);
  await answering(a);
  assertEquals(await answering(b), other);
  const out = await does("restart");
  const [, old, next] = /^master (\d+) has stopped\nmaster (\d+) runs, /.exec(out)!.map(Number);
  assertEquals(old, master.pid);
  assert(next !== old && await answering(b) !== other);
  await does("stop");
  await site.isGone();
});

Deno.test("commands find a master that changes its directory", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  Deno.mkdirSync(site.dir.file("sub"));
  Deno.renameSync(site.conf, site.dir.file("sub/conf"));
  site.dir.write("own.cf", "run-chdir = sub\npid-file = m.pid\n");
  const named = ["-C", "conf", "-config", "own.cf"];
  const ends = async (code: number, ...args: readonly string[]) => {
    const ran = await runHere([...args, ...named]);
    assertEquals(ran.code, code, ran.err);
    return ran.out;
  };
  const before = Deno.cwd();
  // Both kinds of process have relative paths from there.
  Deno.chdir(site.dir.path);
  try {
    await ends(0, "check");
    const start = site.run(["start", "--daemon", ...named]);
    assertEquals((await start.ended()).code, 0, start.stderr);
    assertStringIncludes(start.stdout, `its output is in ${site.dir.file("sub/m.pid.log")}`);
    assertMatch(await ends(0, "status"), /\na\.cf +ready/);
    await ends(0, "reload");
    await ends(0, "stop", "-master-control", "m.pid.sock");
    await ends(3, "status");
  } finally {
    Deno.chdir(before);
  }
  await site.isGone();
});

Deno.test("commands refuse to look for a master in another root, and say why", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const { code, err } = await zcHere(site, "status", "-run-chroot", "/srv");
  assertEquals(code, 78);
  assertStringIncludes(err, 'Cannot look for the master in "/srv": run-chroot, so its paths begin');
});

Deno.test("a command finds the master at each moment of an upgrade", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const master = await site.start();
  await master.logs(/all services are ready/);
  let isOver = false;
  const failures = new Set<string>();
  const asking = (async () => {
    while (!isOver) {
      const { code, err } = await zcHere(site, "status", "--json");
      if (code === EXIT.notRunning) failures.add(err);
    }
  })();
  for (let round = 0; round < 3; round++) await master.upgrade();
  isOver = true;
  await asking;
  assertEquals([...failures], []);
  await master.stop();
});

/** Whether a process has ended, reaped or not: then it has no memory. */
function hasEnded(pid: number): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/statm`).startsWith("0 ");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

Deno.test("stop returns when the process of the master has ended", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const master = await site.start();
  await master.logs(/all services are ready/);
  assertEquals((await zcHere(site, "stop")).code, 0);
  assert(hasEnded(master.pid));
  await master.stopped();
});

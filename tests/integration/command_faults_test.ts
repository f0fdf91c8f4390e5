import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

/** Runs a command of the program for a site. */
async function zc(site: Site, ...args: readonly string[]) {
  const process = site.run([...args, "-C", site.conf, "-pid-file", site.pidFile]);
  const { code } = await process.ended();
  return { code, out: process.stdout, err: process.stderr };
}

Deno.test("start --daemon stops a master that can't open its control socket, and says so", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const path = `${site.dir.path}/no/control.sock`;
  const { code, err } = await zc(site, "start", "--daemon", "-master-control", path);
  assertEquals(code, 1, err);
  assertStringIncludes(err, `Cannot reach the new master "${path}"`);
  assertMatch(err, / warn master\[\d+\] no control socket/);
  await site.isGone();
});

Deno.test("a command says that a master does not answer when its process is stopped", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.serving("a.cf", 1);
  await eventually(() => existsSync(`${site.pidFile}.sock`), { what: "the control socket" });
  Deno.kill(master.pid, "SIGSTOP");
  try {
    const { code, err } = await zc(site, "status");
    assertEquals(code, 3, err);
    assertMatch(err, new RegExp(`Cannot reach the master .*\\b${master.pid}\\b.* does not answer`));
  } finally {
    Deno.kill(master.pid, "SIGCONT");
  }
  await master.stop();
});

Deno.test("a command changes nothing at the master of another directory, whose pid file it finds", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.serving("a.cf", 1);
  Deno.mkdirSync(site.dir.file("other"));
  site.dir.write("other/a.cf", Deno.readTextFileSync(`${site.conf}/a.cf`));
  for (const command of ["stop", "reload", "status"]) {
    const process = site.run([command, "-C", site.dir.file("other"), "-pid-file", site.pidFile]);
    const { code } = await process.ended();
    assertEquals(code, 3, process.stderr);
    assertStringIncludes(
      process.stderr,
      `Cannot reach the master "${site.dir.file("other")}": the master at ` +
        `${site.pidFile}.sock runs with -C ${site.conf}, expected`,
    );
  }
  // Another name of the same directory.
  Deno.symlinkSync(site.conf, site.dir.file("link"));
  const linked = site.run(["status", "-C", site.dir.file("link"), "-pid-file", site.pidFile]);
  assertEquals((await linked.ended()).code, 0, linked.stderr);
  await master.stop();
});

Deno.test("the status of one service does not depend on the others", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const failing = site.dir.write("failing.ts", "Deno.exit(1);\n");
  site.write("b.cf", {
    "server-command": failing,
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const master = await site.start();
  await master.serving("a.cf", 1);
  assertEquals((await zc(site, "status", "a.cf")).code, 0);
  assertEquals((await zc(site, "status", "b.cf")).code, 4);
  assertEquals((await zc(site, "status")).code, 4);
  assertEquals((await zc(site, "status", "c.cf")).code, 2);
  await master.stop();
});

Deno.test("help names a command that does not exist, and the one that was meant", async () => {
  await using site = new Site();
  const process = site.run(["help", "stauts"]);
  assertEquals((await process.ended()).code, 64);
  assertStringIncludes(
    process.stderr,
    'Cannot help with "stauts": no command has this name, expected status',
  );
});

Deno.test("check counts the warnings about its command line", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const { code, err } = await zc(site, "check", "--strict", "-pid-file", "other.pid");
  assertEquals(code, 1, err);
  assertMatch(err, /warning: .*pid-file/);
});

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { becomes, controlOf, runHere, zc, zcHere } from "../support/commands.ts";
import { Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";

Deno.test("start --daemon stops a master that can't open its control socket, and says so", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const path = `${site.dir.path}/no/control.sock`;
  const { code, err } = await zc(site, "start", "--daemon", "-master-control", path);
  assertEquals(code, 1, err);
  assertStringIncludes(err, `Cannot reach the new master "${path}"`);
  assertMatch(err, / warn master\[\d+\] no control socket/);
  await site.isGone();
});

Deno.test("start --daemon warns of log files whose directory is missing", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const directory = site.dir.file("no/"), prefix = `${directory}service.`;
  const logService = `${site.dir.file("log.socket")},${prefix},day`;
  const { code, err } = await zc(site, "start", "--daemon", "-log-service", logService);
  assertEquals(code, 0, err);
  assertStringIncludes(
    err,
    `warning: argument -log-service: Cannot write log files "${prefix}": ` +
      `no directory "${directory}", expected a directory that exists\n`,
  );
  assertEquals((await zcHere(site, "stop")).code, 0);
  await site.isGone();
});

Deno.test("a command changes nothing at the master of another directory, whose pid file it finds, and says that a master does not answer when its process is stopped", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const master = await site.start();
  await master.logs(/all services are ready/);
  Deno.mkdirSync(site.dir.file("other"));
  site.dir.write("other/a.cf", Deno.readTextFileSync(`${site.conf}/a.cf`));
  const runAt = (command: string, directory: string) =>
    runHere([command, "-C", site.dir.file(directory), "-pid-file", site.pidFile]);
  for (const command of ["stop", "reload", "status"]) {
    const { code, err } = await runAt(command, "other");
    assertEquals(code, 3, err);
    assertStringIncludes(
      err,
      `Cannot reach the master "${site.dir.file("other")}": the master at ` +
        `${site.pidFile}.sock runs with -C ${site.conf}, expected`,
    );
  }
  // Another name of the same directory.
  Deno.symlinkSync(site.conf, site.dir.file("link"));
  const linked = await runAt("status", "link");
  assertEquals(linked.code, 0, linked.err);

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

Deno.test("the status of one service does not depend on the others", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const failing = site.dir.write("failing.ts", "Deno.exit(1);\n");
  site.write("b.cf", {
    "server-command": failing,
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const master = await site.start();
  using client = await controlOf(site);
  await becomes(client, "a.cf", "ready");
  assertEquals((await zcHere(site, "status", "a.cf")).code, 0);
  assertEquals((await zcHere(site, "status", "b.cf")).code, 4);
  assertEquals((await zcHere(site, "status")).code, 4);
  assertEquals((await zcHere(site, "status", "c.cf")).code, 2);
  await master.stop();
});

Deno.test("help names a command that does not exist, and the one that was meant", async () => {
  const { code, err } = await runHere(["help", "stauts"]);
  assertEquals(code, 64);
  assertStringIncludes(
    err,
    'Cannot help with "stauts": no command has this name, expected status',
  );
});

Deno.test("check counts the warnings about its command line", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const { code, err } = await zcHere(site, "check", "--strict", "-pid-file", "other.pid");
  assertEquals(code, 1, err);
  assertMatch(err, /warning: .*pid-file/);
});

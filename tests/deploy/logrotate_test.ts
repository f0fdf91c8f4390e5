/** deploy/logrotate with logrotate(8) and a master that writes its log to a file. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greetedOnceOpen } from "../support/client.ts";
import { MASTER_PROGRAM, Site } from "../support/master.ts";
import { NOBODY } from "../support/privileges.ts";
import { eventually } from "../support/wait.ts";
import { DEPLOY } from "./deploy_files.ts";

const LOGROTATE = "/usr/sbin/logrotate";

/** Runs logrotate with the configuration, for a log and the pid file of a site. */
async function rotate(site: Site, log: string, ...args: string[]) {
  const configuration = Deno.readTextFileSync(`${DEPLOY}logrotate/zc-master`)
    .replace("/var/log/zc-master/master.log", log)
    .replace("/run/zc-master/master.pid", site.pidFile);
  const path = site.dir.write("logrotate.conf", configuration);
  Deno.chmodSync(path, 0o644);
  // logrotate refuses a directory that others may write to.
  Deno.chmodSync(site.dir.path, 0o755);
  const state = site.dir.file("state");
  return await site.execute([LOGROTATE, "--state", state, ...args, path]).ended();
}

Deno.test("logrotate renames the log, and no line is lost or written to the renamed file later", async () => {
  await using site = new Site();
  const log = site.dir.file("master.log"), port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const logrotate = async (...args: string[]) => {
    const { code, stderr } = await rotate(site, log, ...args);
    assertEquals(code, 0, stderr);
    return stderr;
  };
  const master = site.execute([
    ...[Deno.execPath(), "run", "-A", MASTER_PROGRAM, "-C", site.conf, "-pid-file", site.pidFile],
  ], { prefix: ["sh", "-c", 'exec "$@" >> "$0" 2>&1', log] });
  using client = await greetedOnceOpen(port);
  assertMatch(await logrotate("--debug"), /rotating pattern/);

  const holds = (name: string, text: string) =>
    eventually(() => existsSync(name) && Deno.readTextFileSync(name).includes(text), {
      what: `"${text}" in ${name}`,
    });
  for (const [round, renamed] of [[1, `${log}.1`], [2, `${log}.1`]] as const) {
    await client.ask(`log before-${round}`);
    await holds(log, `before-${round}`);
    await logrotate("--force");
    assertStringIncludes(Deno.readTextFileSync(renamed), `before-${round}`);
    await eventually(() => existsSync(log), { what: "a new file" });
    await client.ask(`log after-${round}`);
    await holds(log, `after-${round}`);
  }
  assertEquals(existsSync(`${log}.2.gz`), true);
  client.close();
  master.signal("SIGTERM");
  assertEquals((await master.ended()).code, 0);
  await site.isGone();
});

Deno.test("logrotate of root signals no process of root that the owner of the pid file has written there", async () => {
  await using site = new Site();
  const log = site.dir.write("master.log", "a line\n"), victim = site.execute(["sleep", "60"]);
  Deno.writeTextFileSync(site.pidFile, `${victim.pid}\n`);
  using file = Deno.openSync(site.pidFile);
  // As that owner can do.
  file.lockSync(true);
  const isRoot = Deno.uid() === 0;
  // An ordinary user can give no file away, and may signal its own processes.
  if (isRoot) Deno.chownSync(site.pidFile, NOBODY, NOBODY);
  const { code, stderr } = await rotate(site, log, "--force");
  assertEquals(code, isRoot ? 1 : 0, stderr);
  victim.signal("SIGTERM");
  assertEquals((await victim.ended()).signal, isRoot ? "SIGTERM" : "SIGUSR1");
});

Deno.test("logrotate signals no process that has the pid of a master that was killed", async () => {
  await using site = new Site();
  const log = site.dir.write("master.log", "a line\n"), other = site.execute(["sleep", "60"]);
  // As the master leaves it, which can't remove its pid then.
  Deno.writeTextFileSync(site.pidFile, `${other.pid}\n`);
  const { code, stderr } = await rotate(site, log, "--force");
  assertEquals(code, 0, stderr);
  other.signal("SIGTERM");
  assertEquals((await other.ended()).signal, "SIGTERM");
});

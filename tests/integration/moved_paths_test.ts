// What a path leads to changes while a master runs: releases are pruned, links move, runtimes are
// updated.
import { assertNotEquals, assertStringIncludes } from "@std/assert";
import { greeted } from "../support/client.ts";
import { answering, Master, MODES, pidIn, SERVERS, Site } from "../support/master.ts";
import { acceptsNoMore } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

/** What resolves the imports of a script outside of this project. */
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** A folder with settings and a server that tells the name of its release, by relative paths. */
function release(site: Site, name: string, port: number): void {
  Deno.mkdirSync(site.dir.file(`${name}/conf`), { recursive: true });
  const server = `console.error("release ${name}"); await import("${SERVERS.coroutine}");`;
  site.dir.write(`${name}/server.ts`, `${server}\n`);
  site.dir.write(
    `${name}/conf/a.cf`,
    `server-command = deno run -A --config ${CONFIG} server.ts\n` +
      `server-service = 127.0.0.1:${port}\n`,
  );
}

function point(site: Site, link: string, target: string): void {
  const path = site.dir.file(link);
  Deno.symlinkSync(target, `${path}.new`);
  Deno.renameSync(`${path}.new`, path);
}

/** Starts a master as a shell does that was led into a directory by a name. */
async function startIn(site: Site, directory: string, args: readonly string[]): Promise<Master> {
  const process = site.run([...args, "-pid-file", site.pidFile, "--DEBUG"], {
    prefix: ["sh", "-c", `cd "${directory}" && exec "$@"`, "sh"],
  });
  await process.complains(/listeners: .*\n/);
  return new Master(site, process);
}

Deno.test("a master whose directory was removed replaces, reloads and is upgraded, with absolute paths", async () => {
  await using site = new Site();
  const port = site.port(), home = site.dir.file("home");
  Deno.mkdirSync(home);
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await startIn(site, home, ["-C", site.conf]);
  const [pid] = await master.serving("a.cf", 1);
  Deno.removeSync(home);

  Deno.kill(pid, "SIGKILL");
  using second = await greeted(port);
  assertNotEquals(pidIn(second), pid);
  await master.logs(/ warn \S+ Cannot enter ".*\/home": no such directory, expected .*\n/);
  second.close();
  await master.reload();
  const [third] = await master.serving("a.cf", 1);
  assertNotEquals(third, pidIn(second));
  await master.upgrade();
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("a directory that is made again under the same name is the master's working directory again", async () => {
  await using site = new Site();
  const port = site.port();
  release(site, "home", port);
  const master = await startIn(site, site.dir.file("home"), ["-C", "conf"]);
  await master.logs(/release home/);
  Deno.removeSync(site.dir.file("home"), { recursive: true });
  assertStringIncludes(
    await master.reloadRefused(),
    'Cannot read settings directory "conf": no such file or directory',
  );

  release(site, "home", port);
  Deno.kill(await answering(port), "SIGKILL");
  (await greeted(port)).close();
  await master.reload();
  await master.logs(/release home/, 3);
  await master.stop();
});

Deno.test("a reload runs the release that a link leads to by now, and the next one once that is pruned", async () => {
  await using site = new Site();
  const port = site.port();
  for (const name of ["r1", "r2", "r3"]) release(site, name, port);
  point(site, "current", "r1");
  const current = site.dir.file("current");
  const master = await startIn(site, current, ["-C", "conf"]);
  await master.logs(/release r1/);
  const pid = await answering(port);

  point(site, "current", "r2");
  // Only a reload changes the release.
  Deno.kill(pid, "SIGKILL");
  await master.logs(/release r1/, 2);
  const second = await answering(port);
  await master.reload();
  await master.logs(/the working directory ".*\/current" leads to ".*\/r2" now/);
  await master.logs(/release r2/);
  await acceptsNoMore(second);

  point(site, "current", "r3");
  for (const name of ["r1", "r2"]) Deno.removeSync(site.dir.file(name), { recursive: true });
  // Its release is gone, so there is only the new one.
  Deno.kill(await answering(port), "SIGKILL");
  await master.logs(/release r3/);
  await master.upgrade();
  await master.logs(/release r3/, 2);
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("servers are started and upgraded when the runtime's file has gone", async () => {
  await using site = new Site();
  const port = site.port(), bin = site.dir.file("v1"), deno = `${bin}/deno`;
  Deno.mkdirSync(bin);
  Deno.copyFileSync(Deno.execPath(), deno);
  site.serve("a.cf", { mode: "coroutine", service: port });
  const args = ["run", "-A", new URL("../../master.ts", import.meta.url).pathname];
  const process = site.execute(
    [deno, ...args, "-C", site.conf, "-pid-file", site.pidFile, "--DEBUG"],
  );
  await process.complains(/listeners: .*\n/);
  const master = new Master(site, process);
  const [pid] = await master.serving("a.cf", 1);
  Deno.removeSync(bin, { recursive: true });

  Deno.kill(pid, "SIGKILL");
  using client = await greeted(port);
  assertNotEquals(pidIn(client), pid);
  client.close();
  await master.reload();
  (await greeted(port)).close();
  await master.upgrade();
  (await greeted(port)).close();
  await master.stop();
});

for (const mode of MODES) {
  Deno.test(`${mode} mode: a reload makes a socket file anew that was removed, also with its directory`, async () => {
    await using site = new Site();
    const folder = site.dir.file("run"), path = `${folder}/sock`, port = site.port();
    Deno.mkdirSync(folder);
    site.serve("a.cf", { mode, service: `${path},127.0.0.1:${port}` });
    const master = await site.start();
    (await greeted(path)).close();

    Deno.removeSync(path);
    await master.reload();
    await master.logs(/ warn \S+ unix:\S+ had lost its file, and was opened anew/);
    (await greeted(path)).close();

    Deno.removeSync(folder, { recursive: true });
    await master.reload();
    await master.logs(/ warn \S+ unix:\S+ had lost its file: .*: no such file or directory/);
    (await greeted(port)).close();
    Deno.mkdirSync(folder);
    await master.reload();
    await master.logs(/ warn \S+ unix:\S+ had lost its file, and was opened anew/, 2);
    (await greeted(path)).close();
    await master.stop();
  });
}

Deno.test("a reload makes the socket of the log service anew that was removed", async () => {
  await using site = new Site();
  const port = site.port(), socket = site.socket("log.socket"), logs = site.dir.file("logs");
  Deno.mkdirSync(logs);
  site.serve("a.cf", { mode: "coroutine", service: port, "server-log": `masterlog,${socket}` });
  const master = await site.start({ args: ["-log-service", `${socket},${logs}/,day`] });
  const lines = () =>
    [...Deno.readDirSync(logs)].map(({ name }) => Deno.readTextFileSync(`${logs}/${name}`)).join(
      "",
    );
  const registered = (count: number) =>
    eventually(() => lines().match(/serviceRegister/g)?.length === count, {
      what: `the line of ${count} processes`,
    });
  await registered(1);
  Deno.removeSync(socket);
  await master.reload();
  await master.logs(/ warn \S+ log-service \S+ had lost its file, and was opened anew/);
  await registered(2);
  await master.stop();
});

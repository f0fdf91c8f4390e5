/** `server-reload = changed`: the search for the modules of a service whose user wants more rights. */
import { assert, assertEquals } from "@std/assert";
import { mayChangeUser } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { id, statusLine } from "../support/credentials.ts";
import { installationFor } from "../support/installation.ts";
import { pidIn, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const IS_ROOT = mayChangeUser();
/** The user of the service: another one, if the tests may change to it. */
const USER = IS_ROOT ? "nobody" : id("-un");
const INSTALLATION = installationFor(USER);
/** Where the imports of the test servers lead. */
const CONFIG = `--config ${INSTALLATION.root}deno.json`;

/** A site with a directory that belongs to the service's user. */
function attackedSite(): { readonly site: Site; readonly home: string } {
  const site = new Site(INSTALLATION), home = site.dir.file("home");
  Deno.mkdirSync(home);
  if (IS_ROOT) Deno.chownSync(home, Number(id("-u", USER)), Number(id("-g", USER)));
  return { site, home };
}

Deno.test("server-reload = changed: the service's own runtime is started as its user, to serve, and never by check, plan, doctor or a reload", async () => {
  const { site, home } = attackedSite();
  await using _ = site;
  const port = site.port(), app = site.dir.write("home/app.ts", "");
  Deno.writeTextFileSync(app, `import "file://${site.server("coroutine")}";\n`);
  // It can be replaced by its user at any time.
  const runtime = site.dir.write(
    "home/deno",
    `#!/bin/sh\necho "$(id -u) $1" >>${home}/started\nexec ${INSTALLATION.deno} "$@"\n`,
  );
  Deno.chmodSync(runtime, 0o755);
  site.dir.write("home/started", "");
  Deno.chmodSync(`${home}/started`, 0o666);
  site.write("a.cf", {
    "server-command": `${runtime} run -A ${CONFIG} ${app}`,
    "server-service": `127.0.0.1:${port}`,
    "server-protocol": "control",
    "server-user": USER,
    "server-reload": "changed",
  });
  const master = await site.start();
  const first = await greeted(port), before = pidIn(first);
  first.close();
  Deno.writeTextFileSync(app, "// changed\n", { append: true });
  for (const command of ["check", "plan", "doctor"]) {
    await site.run([command, "-C", site.conf, "-pid-file", site.pidFile]).ended();
  }
  await master.reload();
  // The file is a word of its command.
  await eventually(async () => {
    using client = await greeted(port);
    return pidIn(client) !== before || undefined;
  }, { what: "a new server" });
  await master.stop();
  const started = Deno.readTextFileSync(`${home}/started`).trim().split("\n");
  const uid = id("-u", USER);
  assertEquals(started, started.map(() => `${uid} run`));
});

Deno.test("server-reload = changed: a module that is a named pipe holds up no reload, and leaves no process", async () => {
  const { site, home } = attackedSite();
  await using _ = site;
  const port = site.port();
  const app = site.dir.write(
    "home/app.ts",
    // To run the script, the runtime loads no types.
    `import "file://${site.server("coroutine")}";\nimport type { F } from "./f.ts";\n`,
  );
  assert(new Deno.Command("mkfifo", { args: [`${home}/f.ts`] }).outputSync().success);
  site.write("a.cf", {
    "server-command": `deno run -A ${CONFIG} ${app}`,
    "server-service": `127.0.0.1:${port}`,
    "server-user": USER,
    "server-reload": "changed",
  });
  // Nothing else runs in this site.
  const check = await site.run(["check", "-C", site.conf]).ended();
  assertEquals(check.code, 0, check.stderr);
  await site.isGone();

  const master = await site.start();
  const client = await greeted(port), before = pidIn(client);
  const listing = () => site.processes().filter(({ argv }) => argv.includes("info"));
  const [{ pid }] = await eventually(() => {
    const found = listing();
    return found.length > 0 && found;
  }, { what: "the runtime that lists the modules" });
  // setpriv(1) has become the runtime.
  const uids = () => Array(4).fill(id("-u", USER)).join(" ") === statusLine(pid, "Uid");
  await eventually(uids, { what: "the rights of the service's user" });
  assertEquals(statusLine(pid, "NoNewPrivs"), "1");
  const since = performance.now();
  await master.reload();
  assert(performance.now() - since < 20_000, "the reload waited for the modules");
  // Modules that are not known in time count as changed.
  await master.logs(new RegExp(`softstop of process ${before}`));
  client.close();
  master.signal("SIGKILL");
  await site.isGone(10_000);
});

/** Slips in settings files: none of them takes a service away, and each is told once. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { greeted } from "../support/client.ts";
import { type Master, SERVERS, Site } from "../support/master.ts";

/** The warnings so far, without time, place in the code and the site's own path. */
function warnings({ log }: Master, { dir }: Site): string[] {
  return [...log.matchAll(/ warn \S+ (.*)\n/g)]
    .map(([, text]) => text.replaceAll(dir.path, "DIR"));
}

/** What a file of a service that serves may become by mistake. */
const MISTAKES: Readonly<Record<string, (site: Site, file: string) => void>> = {
  "a misspelt server-service": (site, file) =>
    site.write(file, { "server-command": SERVERS.aio, "server-servce": "127.0.0.1:1" }),
  "a misspelt server-command": (site, file) =>
    site.write(file, { "server_command": SERVERS.aio, "server-service": "127.0.0.1:1" }),
  "no server-service": (site, file) => site.write(file, { "server-command": SERVERS.aio }),
  "an empty server-service": (site, file) =>
    site.write(file, { "server-command": SERVERS.aio, "server-service": "" }),
  "an empty file": (site, file) => site.write(file, {}),
  "a file with other settings": (site, file) => site.write(file, { own: 1 }),
  "a file of comments": (site, file) => site.dir.write(`conf/${file}`, "# server-command = x\n"),
  "a directory in its place": (site, file) => {
    site.remove(file);
    Deno.mkdirSync(`${site.conf}/${file}`);
  },
  "a link that leads nowhere": (site, file) => {
    site.remove(file);
    Deno.symlinkSync("/no/such/file", `${site.conf}/${file}`);
  },
};

Deno.test("a reload refuses each file that would remove a service by mistake, and an emptied directory", async (t) => {
  await using site = new Site();
  const [port, other] = [site.port(), site.port()];
  const serve = () => site.serve("a.cf", { mode: "coroutine", service: port });
  serve();
  site.serve("b.cf", { mode: "aio", service: other });
  const master = await site.start();
  const pids = await master.serving("a.cf", 1);
  for (const [what, make] of Object.entries(MISTAKES)) {
    await t.step(what, async () => {
      make(site, "a.cf");
      const refused = (await master.reloadRefused()).replaceAll(site.dir.path, "DIR");
      assertMatch(refused, /^DIR\/conf\/a\.cf[^\n]*: Cannot [^\n]*$/);
      (await greeted(port)).close();
      assertEquals(await master.serving("a.cf", 1), pids);
      Deno.removeSync(`${site.conf}/a.cf`);
      serve();
    });
  }
  assertEquals(warnings(master, site), []);
  // Without its file a service is removed on purpose.
  site.remove("a.cf");
  await master.reload();
  await master.closes(port);
  site.remove("b.cf");
  const refused = await master.reloadRefused();
  assertStringIncludes(refused, "no service in it, while 1 is running, expected at least one");
  (await greeted(other)).close();
  // The file comes back, and the next reload goes well.
  serve();
  await master.reload();
  (await greeted(port)).close();
  await master.closes(other);
  await master.stop();
});

Deno.test("an upgrade refuses what a reload refuses: an emptied file, an emptied directory", async () => {
  await using site = new Site();
  const [port, other] = [site.port(), site.port()];
  site.serve("a.cf", { mode: "coroutine", service: port });
  site.serve("b.cf", { mode: "coroutine", service: other });
  const master = await site.start();
  const pids = [...await master.serving("a.cf", 1), ...await master.serving("b.cf", 1)];
  site.write("a.cf", {});
  await master.upgradeFailed();
  await master.logs(
    /conf\/a\.cf: Cannot use as a service "a\.cf": no setting in it, but it serves now/,
  );
  for (const name of ["a.cf", "b.cf"]) site.remove(name);
  await master.upgradeFailed();
  await master.logs(/no service in it, while 2 are running, expected at least one/);
  for (const target of [port, other]) (await greeted(target)).close();
  assertEquals(master.servers().map(({ pid }) => pid).sort(), pids.sort());
  // Without its file a service is removed on purpose.
  site.serve("b.cf", { mode: "coroutine", service: other });
  await master.upgrade();
  await master.closes(port);
  (await greeted(other)).close();
  await master.stop();
});

Deno.test("a master passes over files that are no services, and tells each slip once", async () => {
  await using site = new Site();
  const port = site.port();
  site.dir.write("conf/empty.cf", "");
  site.dir.write("conf/notes.cf", "# just remarks\n");
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-proc-cuont": 4,
    "server-proc-count": "1 # one",
    "master-stop-timeout": "4s",
    own: "kept",
  });
  site.dir.write("conf/all.gcf", "[all]\nserver-proc-count = 4\nrun-user = nobody\n");
  const expected = [
    'DIR/conf/all.gcf:1: Cannot read "[all]"',
    'DIR/conf/all.gcf:2: server-proc-count: Cannot use "server-proc-count"',
    'DIR/conf/all.gcf:3: run-user: Cannot use "run-user"',
    'DIR/conf/a.cf:3: server-proc-cuont: Cannot find setting "server-proc-cuont"',
    'DIR/conf/a.cf:4: server-proc-count: Cannot read "1 # one"',
    'DIR/conf/a.cf:5: master-stop-timeout: Cannot use "master-stop-timeout"',
    'DIR/conf/empty.cf: Cannot use as a service "empty.cf"',
    'DIR/conf/notes.cf: Cannot use as a service "notes.cf"',
  ];
  const told = (from: number) =>
    warnings(master, site).slice(from).map((line) => line.replace(/(Cannot [^"]*".*?"): .*/, "$1"));
  const master = await site.start();
  assertEquals(told(0), expected);
  {
    using client = await greeted(port);
    assertEquals(await client.ask("setting own"), "kept");
    assertEquals(await client.ask("setting server-proc-cuont"), "4");
  }
  assertEquals((await master.serving("a.cf", 1)).length, 1);
  await master.reload();
  assertEquals(told(expected.length), expected);
  await master.stop();
});

Deno.test("a start that is refused tells what looks odd beside what is wrong", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: "localhost:80", "server-proc-cuont": 4 });
  const stderr = await site.refusal();
  assertStringIncludes(stderr, `${site.conf}/a.cf:2: server-service: Cannot listen on`);
  assertMatch(stderr, /warning: .*\/a\.cf:3: server-proc-cuont: .*, expected server-proc-count\n/);
});

Deno.test("a .gcf does not change the master by settings that are not for it", async () => {
  await using site = new Site();
  const port = site.port();
  const lines = ["sleep = 60000", "try-lock = yes", "exit-after = 1", "run-chdir = /no/such"];
  site.dir.write("conf/all.gcf", [...lines, "run-user = nosuchuser", ""].join("\n"));
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  (await greeted(port)).close();
  // LIB-ZC's servers take this one from there as well.
  await master.logs(/a\.cf: process \d+ ended after \S+ \S+: exit code 0/);
  await master.reload();
  using client = await greeted(port);
  assert(client.greeting.startsWith("coroutine "));
  client.close();
  await master.stop();
});

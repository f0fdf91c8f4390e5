/** The commands that change services: reload, restart, start, stop and scale. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ControlRequestError } from "../../src/control/client.ts";
import { greeted } from "../support/client.ts";
import {
  becomes,
  controlOf,
  failing,
  serveSlowly,
  serviceOf,
  zc,
  zcHere,
} from "../support/commands.ts";
import { answering, Site } from "../support/master.ts";
import { acceptsNoMore, serveSmall } from "../support/peers.ts";
import { listenerInode } from "../support/proc.ts";
import { eventually, within } from "../support/wait.ts";

Deno.test("reload waits for the outcome: committed, rolled back, refused", async () => {
  await using site = new Site();
  const port = site.port();
  serveSmall(site, "a.cf", port);
  const master = await site.start();
  const [first] = await master.serving("a.cf", 1);
  using client = await controlOf(site);
  const lastReload = async () => (await client.request("status")).lastReload;
  const done = await zc(site, "reload");
  assertEquals(done.code, 0, done.err);
  assertEquals((await lastReload())?.outcome, "committed");
  assertMatch(done.out, /service a\.cf +replaced +server-reload = always\n.*kept\ncommitted in /);
  await acceptsNoMore(first);
  assert(await answering(port) !== first);
  site.serve("a.cf", { mode: "coroutine", service: port, "server-command": failing(site) });
  const undone = await zcHere(site, "reload");
  assertEquals(undone.code, 1);
  assertMatch(
    undone.err,
    /^rolled back a\.cf: process \d+ ended after \S+ \S+: exit code 1; its last words: .*\n$/,
  );
  assertEquals((await lastReload())?.outcome, "rolled back");
  site.write("a.cf", { "server-command": failing(site), "server-service": "nonsense:" });
  const refused = await zcHere(site, "reload");
  assertEquals(refused.code, 2);
  assertMatch(refused.err, /a\.cf:2: server-service: Cannot /);
  assertEquals((await lastReload())?.outcome, "refused");
  const error = await assertRejects(() => client.request("plan"), ControlRequestError);
  assertEquals([error.failure.code, error.failure.problems?.[0].line], ["refused", 2]);
  await master.stop();
});

Deno.test("reload SERVICE, restart, stop and start change the named services only", async () => {
  await using site = new Site();
  const [a, b] = [site.port(), site.port()];
  serveSmall(site, "a.cf", a);
  serveSmall(site, "b.cf", b);
  const master = await site.start();
  await master.serving("a.cf", 1);
  const [other] = await master.serving("b.cf", 1);
  using client = await controlOf(site);
  const pidNow = () => answering(a);
  const before = await pidNow();
  // b.cf has changed as well, but was not named.
  serveSmall(site, "a.cf", a, { "server-proc-count": 2 });
  serveSmall(site, "b.cf", b, { "server-proc-count": 2 });
  const reloaded = await client.request("reload", { services: ["a.cf"] });
  assertEquals(reloaded?.outcome, "committed");
  assertEquals((await serviceOf(client, "a.cf")).wanted, 2);
  // The old process accepts until it has its soft stop.
  await eventually(async () => await pidNow() !== before, { what: "the new process" });
  const between = new Set((await serviceOf(client, "a.cf")).processes.map(({ pid }) => pid));
  await client.request("restart", { services: ["a.cf"] });
  await eventually(async () => !between.has(await pidNow()), { what: "the new processes" });
  const stopped = await client.request("stop", { services: ["a.cf"] });
  assertEquals(
    stopped!.plan.services.find(({ id }) => id === "a.cf"),
    { id: "a.cf", change: "removed", why: "it is stopped until the next reload" },
  );
  await becomes(client, "a.cf", "stopped");
  await assertRejects(() => Deno.connect({ port: a }), Deno.errors.ConnectionRefused);
  const twice = await assertRejects(
    () => client.request("stop", { services: ["a.cf"] }),
    ControlRequestError,
    'Cannot stop "a.cf": it is stopped, expected a service that runs: zc start a.cf starts it',
  );
  assertEquals(twice.failure.code, "busy");
  await client.request("start", { services: ["a.cf"] });
  await pidNow();
  await client.request("stop", { services: ["a.cf"] });
  await client.request("reload");
  // A whole reload starts what was stopped.
  assertEquals((await becomes(client, "a.cf", "ready")).wanted, 2);
  assertEquals((await serviceOf(client, "b.cf")).wanted, 2);
  await acceptsNoMore(other);
  assert(other !== await answering(b));
  const wrong = await zcHere(site, "reload", "a.fc");
  assertEquals(wrong.code, 2);
  assertStringIncludes(wrong.err, '"a.fc": no service has this name, expected a.cf');
  // What was asked for in vain is not the last reload.
  const { lastReload } = await client.request("status");
  assertEquals([lastReload?.outcome, lastReload?.text], ["committed", "reloaded"]);
  // The restart, both stops and the start of a.cf; only the reloads are called so.
  await master.logs(/\] restarted a\.cf\n/);
  await master.logs(/\] stopped a\.cf\n/, 2);
  await master.logs(/\] started a\.cf\n/);
  await master.logs(/\] reloaded\n/, 2);
  assertEquals(master.logged(/\] reloaded$/), 2, master.log);
  assert(!master.log.includes("reload refused"), master.log);
  await master.stop();
});

Deno.test("a SIGHUP during the reload of a named service reads everything again", async () => {
  await using site = new Site();
  const release = site.dir.file("release");
  serveSmall(site, "a.cf", site.port());
  const master = await site.start();
  await master.serving("a.cf", 1);
  using client = await controlOf(site);
  serveSlowly(site, release);
  await client.request("reload", { wait: false });
  await client.request("reload", { services: ["a.cf"], wait: false });
  serveSmall(site, "b.cf", site.port());
  master.signal("SIGHUP");
  // The master has handled the signal by the time at which it answers, or does so soon.
  await client.request("status");
  Deno.writeTextFileSync(release, "");
  await master.serving("b.cf", 1);
  await master.stop();
});

Deno.test("a stopped service stays known until it serves again, however it is started", async () => {
  await using site = new Site();
  const [a, b] = [site.port(), site.port()];
  serveSmall(site, "a.cf", a);
  site.serve("b.cf", { mode: "coroutine", service: b });
  const master = await site.start();
  await master.serving("a.cf", 1);
  using client = await controlOf(site);
  await client.request("stop", { services: ["a.cf"] });
  // A start that is rolled back leaves it stopped.
  const lines = Deno.readTextFileSync(`${site.conf}/a.cf`);
  site.serve("a.cf", { mode: "coroutine", service: a, "server-command": failing(site) });
  const undone = await client.request("reload", { services: ["a.cf"] });
  assertEquals(undone?.outcome, "rolled back");
  await becomes(client, "a.cf", "stopped");
  Deno.writeTextFileSync(`${site.conf}/a.cf`, lines);
  await client.request("reload", { services: ["a.cf"] });
  await becomes(client, "a.cf", "ready");
  const twice = await assertRejects(
    () => client.request("start", { services: ["a.cf"] }),
    ControlRequestError,
  );
  assertEquals(twice.failure.code, "busy");
  await answering(a);
  for (const wait of [true, false]) {
    const wrong = await assertRejects(
      () => client.request("stop", { services: ["nosuch"], wait }),
      ControlRequestError,
    );
    assertEquals(wrong.failure.code, "unknown-service");
  }
  // Who waits for the end of a service is answered when it is back before that.
  using _held = await greeted(b);
  using other = await controlOf(site);
  const stopped = other.request("stop", { services: ["b.cf"] });
  await becomes(client, "b.cf", "stopped");
  await eventually(() => listenerInode(b) === undefined, { what: "the listener to be closed" });
  await client.request("start", { services: ["b.cf"] });
  assertEquals((await within(stopped, { what: "the answer" }))?.outcome, "committed");
  _held.close();
  await master.stop();
});

Deno.test("reload and start --daemon tell what is suspicious in the settings", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port(), { "server-prot-count": 2 });
  const warning = /^warning: .*a\.cf:3: server-prot-count: .*, expected server-proc-count\n$/;
  const started = await zc(site, "start", "--daemon");
  assertEquals(started.code, 0, started.err);
  assertMatch(started.err, warning);
  const reloaded = await zcHere(site, "reload");
  assertEquals(reloaded.code, 0, reloaded.err);
  assertMatch(reloaded.err, warning);
  const planned = await zcHere(site, "plan");
  assertEquals(planned.code, 0, planned.err);
  assertMatch(planned.err, warning);
  using client = await controlOf(site);
  const result = await client.request("reload");
  assertEquals(result?.warnings.map(({ line, key }) => [line, key]), [[3, "server-prot-count"]]);
  assertEquals((await client.request("restart", { services: ["a.cf"] })).warnings, []);
  assertEquals((await zcHere(site, "stop")).code, 0);
  await site.isGone();
});

Deno.test("a service is found without its .cf, and by the path of its file", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const master = await site.start();
  await master.logs(/all services are ready/);
  const ends = async (code: number, ...args: readonly string[]) => {
    // A relative path is one of the site's directory, which only a process of its own is in.
    const isOwn = args[0] === "logs" || args[1] === "conf/a";
    const ran = await (isOwn ? zc : zcHere)(site, ...args);
    assertEquals(ran.code, code, args.join(" ") + ran.err);
    return ran.out + ran.err;
  };
  assertMatch(await ends(0, "status", "a"), /\na\.cf +ready/);
  assertEquals(
    await ends(0, "scale", "a", "2"),
    "a.cf: 2 processes until the next reload, 1 before\n",
  );
  await ends(0, "restart", `${site.conf}/a.cf`);
  await ends(0, "stop", "a");
  await ends(0, "start", "conf/a");
  await ends(0, "logs", "a");
  // The master has not read this file yet.
  serveSmall(site, "b.cf", site.port());
  assertStringIncludes(await ends(2, "reload", "b"), "no service has this name, expected b.cf");
  await ends(0, "reload", `${site.conf}/b.cf`);
  assertStringIncludes(await ends(2, "stop", "c"), "expected one of a.cf b.cf");
  await master.stop();
});

Deno.test("every command says the nearest name to one that no service has, with one exit code", async () => {
  await using site = new Site();
  serveSmall(site, "web.cf", site.port());
  serveSmall(site, "mail.cf", site.port());
  const master = await site.start();
  await master.logs(/all services are ready/);
  const commands = [
    ...["status", "start", "stop", "restart", "reload"].map((name) => [name]),
    ["logs"],
    ["scale"],
    ...["stop", "reload", "scale"].map((name) => [name, "--no-wait"]),
  ];
  for (const [command, ...options] of commands) {
    for (
      const [name, expected] of [
        ["weeb", "web.cf"],
        ["conf/weeb.cf", "web.cf"],
        ["WEB", "web.cf"],
        ["x", "one of mail.cf web.cf"],
      ]
    ) {
      const count = command === "scale" ? ["2"] : [];
      const { code, out, err } = await zcHere(site, command, name, ...count, ...options);
      const id = name.replace("conf/", "");
      assertEquals(
        [code, out, err],
        [
          2,
          "",
          `Cannot find the service "${id}": no service has this name, expected ${expected}\n`,
        ],
        command,
      );
    }
  }
  // Before what is wrong with another one that is named.
  const both = await zcHere(site, "start", "web", "mial");
  assertEquals(both.code, 2);
  assertStringIncludes(both.err, 'Cannot find the service "mial"');
  // The master has not read this file yet.
  serveSmall(site, "new.cf", site.port());
  assertEquals((await zcHere(site, "reload", "new.cf", "--no-wait")).code, 0);
  await master.serving("new.cf", 1);
  await master.stop();
});

Deno.test("scale sets the number of processes until the next reload", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port(), { "server-reload": "changed" });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const { code, out } = await zc(site, "scale", "a.cf", "3");
  assertEquals([code, out], [0, "a.cf: 3 processes until the next reload, 1 before\n"]);
  using client = await controlOf(site);
  assertEquals((await serviceOf(client, "a.cf")).ready, 3);
  const one = { service: "a.cf", count: 1 };
  assertEquals(await client.request("scale", one), { before: 3, now: 1, problem: null });
  const why = async () => (await client.request("plan")).services.map(({ why }) => why);
  assertEquals(await why(), ["nothing of it has changed"]);
  await client.request("scale", { service: "a.cf", count: 2, wait: false });
  assertEquals(await why(), ["only its number of processes is that of its settings again"]);
  await client.request("reload");
  assertEquals((await serviceOf(client, "a.cf")).wanted, 1);
  site.write("b.cf", {
    "server-command": failing(site),
    "server-service": `127.0.0.1:${site.port()}`,
    "server-proc-count": 0,
  });
  await client.request("reload");
  const failed = await zcHere(site, "scale", "b.cf", "1");
  assertEquals([failed.code, failed.out], [1, "b.cf: 1 process until the next reload, 0 before\n"]);
  assertMatch(failed.err, /^b\.cf: process \d+ .*exit code 1/);
  await master.stop();
});

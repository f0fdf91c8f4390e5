import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { withMaster } from "../../src/commands/connect.ts";
import type { Finding } from "../../src/commands/doctor_checks.ts";
import { parseArguments } from "../../src/config/args.ts";
import { ControlClient, ControlRequestError } from "../../src/control/client.ts";
import type { ServiceStatus } from "../../src/control/status.ts";
import { AT_FDCWD } from "../../src/os/ffi/constants.ts";
import { cString, libc } from "../../src/os/ffi/libc.ts";
import { greeted } from "../support/client.ts";
import { type Ran, runHere, zcHere } from "../support/commands.ts";
import { answering, type Master, MASTER_PROGRAM, MODES, Site } from "../support/master.ts";
import { listenerInode } from "../support/proc.ts";
import { TestProcess } from "../support/processes.ts";
import { eventually, within } from "../support/wait.ts";

/**
 * Runs a command of the program for a site in a process: one of each kind, and those that start a master or write
 * past the console. The others run here.
 */
async function zc(site: Site, ...args: readonly string[]): Promise<Ran> {
  const process = site.run([...args, "-C", site.conf, "-pid-file", site.pidFile]);
  const { code } = await process.ended();
  return { code, out: process.stdout, err: process.stderr };
}

/** A program that ends before it is ready, with exit code 1. */
function failing(site: Site): string {
  return site.dir.write("failing.ts", 'console.error("cannot go on\\x1b[6n"); Deno.exit(1);\n');
}

/** Connects to the master of a site. */
async function connect(site: Site): Promise<ControlClient> {
  const path = `${site.pidFile}.sock`;
  await eventually(() => existsSync(path), { what: "the control socket" });
  return await ControlClient.connect(path);
}

async function serviceOf(client: ControlClient, id: string): Promise<ServiceStatus> {
  const { services } = await client.request("status", { service: id });
  return services[0];
}

/** Waits until a service has a state. */
async function becomes(client: ControlClient, id: string, state: string): Promise<ServiceStatus> {
  return await eventually(async () => {
    const service = await serviceOf(client, id);
    return service.state === state && service;
  }, { what: `${id} to become ${state}` });
}

Deno.test("status tells services, processes, listeners, and its exit code whether all is well", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-proc-count": 2 });
  const master = await site.start();
  const pids = await master.serving("a.cf", 2);
  using client = await connect(site);
  await becomes(client, "a.cf", "ready");
  const status = await client.request("status");
  assertEquals([status.state, status.master.pid, status.lastReload], ["ready", master.pid, null]);
  const [service] = status.services;
  assertEquals([service.wanted, service.ready, service.restarts, service.problem], [2, 2, 0, null]);
  assertEquals(service.processes.map(({ pid }) => pid), pids);
  for (const one of service.processes) {
    assert(one.cpuMs! > 0 && one.memoryBytes! > 1 << 20 && one.ageMs > 0);
  }
  const [listener] = status.listeners;
  assertEquals([listener.address, listener.services], [`127.0.0.1:${port}`, ["a.cf"]]);
  assertEquals(listener.queue, 0);
  assert(listener.queueLimit! > 0);
  const { code, out } = await zc(site, "status");
  assertEquals(code, 0);
  assertMatch(out, new RegExp(`^master ${master.pid}: serving for .*\\n\\nSERVICE +STATE +READY`));
  assertMatch(out, /\na\.cf +ready +2\/2 /);
  for (const pid of pids) assertMatch(out, new RegExp(`\\n *${pid}  a\\.cf +[01]  ready +1 `));
  const json = await zcHere(site, "status", "--json", "a.cf");
  assertEquals(JSON.parse(json.out).services[0].id, "a.cf");
  await master.stop();
  const gone = await zcHere(site, "status");
  assertEquals([gone.code, gone.out], [3, ""]);
  assertStringIncludes(gone.err, "no master runs: nothing holds the lock of");
});

Deno.test("status tells the connections of servers of both modes, with and without permissions", async () => {
  await using site = new Site();
  const services = MODES.flatMap((mode) =>
    ["all", "none"].map((permissions) => {
      const id = `${mode}_${permissions}.cf`, port = site.port();
      site.serve(id, { mode, service: port, "server-permissions": permissions });
      return { id, port };
    })
  );
  const master = await site.start();
  using client = await connect(site);
  await Promise.all(services.map(async ({ id, port }) => {
    await becomes(client, id, "ready");
    const counts = async () => {
      const { processes: [{ connections, accepted }] } = await serviceOf(client, id);
      return [connections, accepted];
    };
    assertEquals(await counts(), [0, 0], id);
    using one = await greeted(port);
    using two = await greeted(port);
    assertEquals(await counts(), [2, 2], id);
    two.close();
    await eventually(async () => (await counts())[0] === 1, {
      what: `the end of a connection of ${id}`,
    });
    assertEquals(await counts(), [1, 2], id);
    one.close();
  }));
  await master.stop();
});

Deno.test("status tells why a service does not become ready, the last exit of a process, and the restart of one that hangs", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port(), "server-watchdog": 2 });
  site.write("b.cf", {
    "server-command": failing(site),
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const master = await site.start();
  using client = await connect(site);
  const { problem, lastExit, restarts } = await becomes(client, "b.cf", "failed");
  assertMatch(problem!, /exit code 1/);
  assert(lastExit !== null && restarts > 0);
  assertEquals(lastExit.reason, "exit code 1");
  assert(lastExit.atMs <= Date.now() && lastExit.ranMs < 60_000);
  const { code, out } = await zcHere(site, "status");
  assertEquals(code, 4);
  assertMatch(out, /\nb\.cf +failed +0\/1 .* exit code 1, .* ago\n/);
  const [pid] = await master.serving("a.cf", 1);
  await eventually(
    async () => (await serviceOf(client, "a.cf")).processes[0].heartbeatMs !== null,
    { what: "a heartbeat" },
  );
  const { processes: [{ heartbeatMs }] } = await serviceOf(client, "a.cf");
  assert(heartbeatMs! < 10_000);
  Deno.kill(pid, "SIGSTOP");
  await eventually(async () => {
    const { restarts, lastExit } = await serviceOf(client, "a.cf");
    return restarts === 1 && lastExit?.pid === pid && /SIG(ABRT|KILL)/.test(lastExit.reason);
  }, { what: "the restart to be counted" });
  await master.stop();
});

Deno.test("reload waits for the outcome: committed, rolled back, refused", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const [first] = await master.serving("a.cf", 1);
  using client = await connect(site);
  const lastReload = async () => (await client.request("status")).lastReload;
  const done = await zc(site, "reload");
  assertEquals(done.code, 0, done.err);
  assertEquals((await lastReload())?.outcome, "committed");
  assertMatch(done.out, /service a\.cf +replaced +server-reload = always\n.*kept\ncommitted in /);
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

Deno.test("events tell what happens: an end, a new process, a reload, a failure, the stop", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const [first] = await master.serving("a.cf", 1);
  using watching = await connect(site);
  using client = await connect(site);
  await becomes(client, "a.cf", "ready");
  const events = await watching.events();
  const next = async () => {
    const { value } = await within(events.next(), { what: "an event" });
    assert(value !== undefined && Math.abs(value.atMs - Date.now()) < 60_000);
    return value;
  };
  Deno.kill(first, "SIGKILL");
  const ended = await next();
  assert(ended.type === "exit" && ended.pid === first && ended.service === "a.cf");
  assertMatch(ended.reason, /SIGKILL/);
  const ready = await next();
  assert(ready.type === "ready" && ready.service === "a.cf" && ready.pid !== first);
  const recovered = await next();
  assert(recovered.type === "recovered" && recovered.service === "a.cf");
  await client.request("reload");
  assertEquals((await next()).type, "ready");
  const reload = await next();
  assert(reload.type === "reload" && reload.outcome === "committed");
  await client.request("stop");
  assertEquals((await next()).type, "stop");
  assertEquals((await within(events.next(), { what: "the end of the events" })).done, true);
  await master.stopped();
});

Deno.test("plan tells what a reload would change, and changes nothing", async () => {
  await using site = new Site();
  const port = site.port(), next = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-reload": "changed" });
  const master = await site.start();
  const [pid] = await master.serving("a.cf", 1);
  site.serve("b.cf", { mode: "coroutine", service: next });
  using client = await connect(site);
  for (let time = 0; time < 2; time++) {
    const plan = await client.request("plan");
    assertEquals(plan.services.map(({ id, change }) => [id, change]), [
      ["b.cf", "added"],
      ["a.cf", "left"],
    ]);
    assertEquals(plan.listeners, [
      { address: `127.0.0.1:${next}`, change: "opened" },
      { address: `127.0.0.1:${port}`, change: "kept" },
    ]);
  }
  const { code, out } = await zc(site, "plan");
  assertEquals(code, 0);
  assertMatch(
    out,
    /^service b\.cf +added +it is new\nservice a\.cf +left +nothing of it has changed/,
  );
  assertEquals(master.servers().map((server) => server.pid), [pid]);
  await master.stop();
});

Deno.test("reload SERVICE, restart, stop and start change the named services only", async () => {
  await using site = new Site();
  const [a, b] = [site.port(), site.port()];
  site.serve("a.cf", { mode: "coroutine", service: a });
  site.serve("b.cf", { mode: "aio", service: b });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const [other] = await master.serving("b.cf", 1);
  using client = await connect(site);
  const pidNow = () => answering(a);
  const before = await pidNow();
  // b.cf has changed as well, but was not named.
  site.serve("a.cf", { mode: "coroutine", service: a, "server-proc-count": 2 });
  site.serve("b.cf", { mode: "aio", service: b, "server-proc-count": 2 });
  const reloaded = await client.request("reload", { services: ["a.cf"] });
  assertEquals(reloaded?.outcome, "committed");
  assertEquals((await serviceOf(client, "a.cf")).wanted, 2);
  // The old process accepts until it has its soft stop.
  await eventually(async () => await pidNow() !== before, { what: "the new process" });
  const between = new Set((await serviceOf(client, "a.cf")).processes.map(({ pid }) => pid));
  await client.request("restart", { services: ["a.cf"] });
  await eventually(async () => !between.has(await pidNow()), { what: "the new processes" });
  await client.request("stop", { services: ["a.cf"] });
  await becomes(client, "a.cf", "stopped");
  await assertRejects(() => Deno.connect({ port: a }), Deno.errors.ConnectionRefused);
  const twice = await assertRejects(
    () => client.request("stop", { services: ["a.cf"] }),
    ControlRequestError,
    'Cannot stop "a.cf": it is stopped, expected a service that runs',
  );
  assertEquals(twice.failure.code, "busy");
  await client.request("start", { services: ["a.cf"] });
  await pidNow();
  await client.request("stop", { services: ["a.cf"] });
  await client.request("reload");
  // A whole reload starts what was stopped.
  assertEquals((await becomes(client, "a.cf", "ready")).wanted, 2);
  assertEquals((await serviceOf(client, "b.cf")).wanted, 2);
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

/** Writes the settings of a.cf, whose processes become ready only when a file is there. */
function serveSlowly(site: Site, release: string): void {
  const waits = `while [ ! -e ${release} ]; do sleep 0.1; done; exec "$@"`;
  const script = site.dir.write("waits.sh", waits);
  site.serve("a.cf", {
    mode: "coroutine",
    service: site.port(),
    "server-command": `sh ${script} deno run -A ${site.server("coroutine")}`,
    "server-protocol": "control",
  });
}

Deno.test("a SIGHUP during the reload of a named service reads everything again", async () => {
  await using site = new Site();
  const release = site.dir.file("release");
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.serving("a.cf", 1);
  using client = await connect(site);
  serveSlowly(site, release);
  await client.request("reload", { wait: false });
  await client.request("reload", { services: ["a.cf"], wait: false });
  site.serve("b.cf", { mode: "coroutine", service: site.port() });
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
  site.serve("a.cf", { mode: "coroutine", service: a });
  site.serve("b.cf", { mode: "coroutine", service: b });
  const master = await site.start();
  await master.serving("a.cf", 1);
  using client = await connect(site);
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
  using other = await connect(site);
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
  const lines = { mode: "coroutine", service: site.port(), "server-prot-count": 2 } as const;
  site.serve("a.cf", lines);
  const warning = /^warning: .*a\.cf:3: server-prot-count: .*, expected server-proc-count\n$/;
  const started = await zc(site, "start", "--daemon");
  assertEquals(started.code, 0, started.err);
  assertMatch(started.err, warning);
  const reloaded = await zcHere(site, "reload");
  assertEquals(reloaded.code, 0, reloaded.err);
  assertMatch(reloaded.err, warning);
  using client = await connect(site);
  const result = await client.request("reload");
  assertEquals(result?.warnings.map(({ line, key }) => [line, key]), [[3, "server-prot-count"]]);
  assertEquals((await client.request("restart", { services: ["a.cf"] })).warnings, []);
  assertEquals((await zcHere(site, "stop")).code, 0);
  await site.isGone();
});

Deno.test("a service is found without its .cf, and by the path of its file", async () => {
  await using site = new Site();
  const lines = { mode: "coroutine", service: site.port() } as const;
  site.serve("a.cf", lines);
  const master = await site.start();
  await master.serving("a.cf", 1);
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
  site.serve("b.cf", { ...lines, service: site.port() });
  assertStringIncludes(await ends(2, "reload", "b"), "no service has this name, expected b.cf");
  await ends(0, "reload", `${site.conf}/b.cf`);
  assertStringIncludes(await ends(2, "stop", "c"), "expected one of a.cf b.cf");
  await master.stop();
});

Deno.test("scale sets the number of processes until the next reload", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const { code, out } = await zc(site, "scale", "a.cf", "3");
  assertEquals([code, out], [0, "a.cf: 3 processes until the next reload, 1 before\n"]);
  using client = await connect(site);
  assertEquals((await serviceOf(client, "a.cf")).ready, 3);
  const one = { service: "a.cf", count: 1 };
  assertEquals(await client.request("scale", one), { before: 3, now: 1, problem: null });
  await client.request("scale", { service: "a.cf", count: 2, wait: false });
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

Deno.test("upgrade waits for the new master, whose control socket is at the same path", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  await master.serving("a.cf", 1);
  using old = await connect(site);
  const { code, out, err } = await zc(site, "upgrade");
  assertEquals(code, 0, err + master.log);
  const [, next, before] = /^master (\d+) has taken over from (\d+)\n$/.exec(out)!.map(Number);
  assertEquals(before, master.pid);
  await within(old.closed(), { what: "the end of the connection to the old master" });
  using client = await connect(site);
  assertEquals((await client.request("hello")).pid, next);
  await becomes(client, "a.cf", "ready");
  await answering(port);
  master.pid = next;
  await stopBy(client, master);
});

Deno.test("an upgrade removes the control socket whose path has changed", async () => {
  await using site = new Site();
  const own = site.dir.file("own.cf"), first = site.dir.file("first"), next = site.dir.file("next");
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
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

Deno.test("upgrade says why it has failed, restart does not stop a master that could not start again, and the master goes on", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const [pid] = await master.serving("a.cf", 1);
  site.write("a.cf", { "server-command": failing(site), "server-service": "nonsense:" });
  const { code, err } = await zcHere(site, "upgrade");
  assertEquals(code, 1);
  assertMatch(err, /^The upgrade has failed, this master goes on: process \d+: it has ended/);
  const without = await runHere(["restart", "-pid-file", site.pidFile]);
  assertEquals(without.code, 78);
  assertMatch(without.err, /Cannot read argument "-C": it is missing/);
  const broken = await zcHere(site, "restart");
  assertEquals([broken.code, broken.out], [78, ""]);
  assertMatch(broken.err, /a\.cf:2: server-service: Cannot /);
  assertEquals(await answering(port), pid);
  await master.stop();
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
  assertMatch(status.out, new RegExp(`^master ${master.pid}: stopping .*\n[^]*\na\\.cf +stopped `));
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

Deno.test("start, reload, restart and upgrade tell what they wait for", async () => {
  await using site = new Site();
  const release = site.dir.file("release");
  serveSlowly(site, release);
  const waits = async (args: readonly string[], what: RegExp) => {
    const process = site.run([...args, "-C", site.conf, "-pid-file", site.pidFile]);
    await process.complains(what);
    Deno.writeTextFileSync(release, "");
    assertEquals((await process.ended()).code, 0, process.stderr);
    Deno.removeSync(release);
  };
  await waits(["start", "--daemon"], /^waiting for a\.cf: process \d+ starting$/m);
  await waits(["reload"], /^waiting for a\.cf: process \d+ starting$/m);
  await waits(["restart", "a.cf"], /^waiting for a\.cf: process \d+ starting$/m);
  await waits(["upgrade"], /^waiting for the new master$/m);
  assertEquals((await zcHere(site, "stop")).code, 0);
  await site.isGone();
});

Deno.test("start --daemon returns when all services are ready, and says why if one is not", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
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
    "server-ready-timeout": 1,
  });
  const failed = await zc(site, "start", "--daemon");
  assertEquals(failed.code, 1, failed.out);
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

Deno.test("start --daemon does not wait for a named pipe in the place of its output file", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const output = `${site.pidFile}.log`;
  assertEquals(libc().mkfifoat(AT_FDCWD, cString(output), 0o600), 0);
  const { code, err } = await zc(site, "start", "--daemon");
  assertEquals(code, 1);
  assertMatch(err, /master\.pid\.log": .*no reader \(ENXIO\)/);
  assert(!existsSync(site.pidFile));
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
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const silent = await site.start({ args: ["-master-control", "off"] });
  await silent.serving("a.cf", 1);
  assert(!existsSync(`${site.pidFile}.sock`));
  await silent.stop();
  const master = await site.start({ args: ["-master-control", "/nowhere/control.sock"] });
  await master.logs(/ warn \S+ no control socket, so commands such as status do not work: /);
  await master.serving("a.cf", 1);
  await master.stop();
});

Deno.test("check tells each problem with its place, and leaves the running master alone", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const free = await zcHere(site, "check");
  assertEquals([free.code, free.out], [0, "1 service, 0 errors, 0 warnings\n"], free.err);
  const master = await site.start();
  const [pid] = await master.serving("a.cf", 1);
  // The addresses that the master holds itself are free for it.
  const held = await zc(site, "check", "--strict");
  assertEquals([held.code, held.out], [0, "1 service, 0 errors, 0 warnings\n"], held.err);
  const busy = site.busyPort();
  site.serve("b.cf", {
    mode: "coroutine",
    service: `127.0.0.1:${busy}, ${site.dir.path}/no/where.sock`,
    "server-prot-count": 3,
  });
  const wrong = await zcHere(site, "check");
  assertEquals([wrong.code, wrong.out], [1, "2 services, 2 errors, 1 warning\n"]);
  assertMatch(wrong.err, /error: .*b\.cf:2: server-service: .*address in use by process/);
  assertMatch(wrong.err, /error: .*b\.cf:2: server-service: .*no such file or directory/);
  assertMatch(wrong.err, /warning: .*b\.cf:3: server-prot-count: .*expected server-proc-count/);
  site.serve("b.cf", { mode: "coroutine", service: site.port(), "server-prot-count": 3 });
  assertEquals((await zcHere(site, "check")).code, 0);
  const strict = await zcHere(site, "check", "--strict", "--json");
  assertEquals(strict.code, 1);
  assertEquals(JSON.parse(strict.out).warnings[0].line, 3);
  assertEquals(await answering(port), pid);
  await master.stop();
});

Deno.test("doctor compares the processes with what they were given, and finds changed files", async () => {
  await using site = new Site();
  const port = site.port();
  const variables = site.dir.write("variables", "A=1\n");
  site.serve("a.cf", { mode: "coroutine", service: port, "core-file-size": 1_000_000 });
  site.serve("B.CF", {
    mode: "aio",
    "server-env-file": variables,
    service: site.port(),
    "server-balance": "reuseport",
    "server-permissions": "--allow-net --allow-read --allow-env --allow-write",
  });
  const master = await site.start();
  using client = await connect(site);
  await becomes(client, "a.cf", "ready");
  await becomes(client, "B.CF", "ready");
  const examine = async () => {
    const { code, out, err } = await zcHere(site, "doctor", "--json");
    assertEquals(err, "");
    const { findings }: { findings: readonly Finding[] } = JSON.parse(out);
    assertEquals(code, findings.length === 0 ? 0 : 1);
    // The machine is as it is.
    return findings.filter(({ subject }) => /^(process|settings|\/)/.test(subject));
  };
  const process = await zc(site, "doctor", "--json");
  assert(Array.isArray(JSON.parse(process.out).findings), process.err);
  assertEquals(await examine(), []);
  site.write("c.cf", {
    "server-command": '/bin/sh -c "ulimit -n 50; exec sleep 1000"',
    "server-protocol": "systemd",
    "server-service": `127.0.0.1:${site.port()}`,
  });
  await client.request("reload", { services: ["c.cf"] });
  // What only a comment has changed counts as well.
  Deno.writeTextFileSync(`${site.conf}/a.cf`, "\n# one more line\n", { append: true });
  // No settings file.
  site.write(".c.cf", {});
  const later = Date.now() / 1000 + 1;
  const changed = [`${site.conf}/B.CF`, `${site.conf}/a.cf`, variables];
  for (const path of [...changed, `${site.conf}/.c.cf`]) Deno.utimeSync(path, later, later);
  const { processes: [{ pid }] } = await serviceOf(client, "c.cf");
  assertEquals((await examine()).map(({ subject, command }) => [subject, command]), [
    ...changed.map((path) => [path, "zc plan && zc reload"]),
    [`process ${pid} of c.cf: limit of open files`, null],
  ]);
  await master.stop();
});

Deno.test("restart replaces the master, and restart, stop and start with a service only its processes", async () => {
  await using site = new Site();
  const [a, b] = [site.port(), site.port()];
  site.serve("a.cf", { mode: "coroutine", service: a });
  site.serve("b.cf", { mode: "aio", service: b });
  const master = await site.start();
  const [first] = await master.serving("a.cf", 1), [other] = await master.serving("b.cf", 1);
  const does = async (...args: readonly string[]) => {
    // What only talks to the master runs here.
    const run = args[0] === "restart" ? zc : zcHere;
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

Deno.test("status --watch goes on at an upgrade, and ends with its reader or the last master", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.serving("a.cf", 1);
  using _ = await connect(site);
  const args = ["status", "--watch", "--json", "-C", site.conf, "-pid-file", site.pidFile];
  const piped = ["sh", "-c", '"$@" | head -n 1', "sh", "deno", "run", "-A", MASTER_PROGRAM];
  await using short = new TestProcess([...piped, ...args], { env: site.environment });
  await short.ended();
  assertEquals(JSON.parse(short.stdout).services[0].id, "a.cf");
  const long = site.run(args);
  await long.prints(/a\.cf.*\n.*a\.cf/);
  await master.upgrade();
  await long.prints(new RegExp(`"pid":${master.pid},.*"phase":"serving"`));
  await master.stop();
  assertEquals((await long.ended()).code, 3);
  assertStringIncludes(long.stderr, "the master has ended");
});

Deno.test("commands find a master that changes its directory", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  Deno.mkdirSync(site.dir.file("sub"));
  Deno.renameSync(site.conf, site.dir.file("sub/conf"));
  site.dir.write("own.cf", "run-chdir = sub\npid-file = m.pid\n");
  const ends = async (code: number, ...args: readonly string[]) => {
    const process = site.run([...args, "-C", "conf", "-config", "own.cf"]);
    assertEquals((await process.ended()).code, code, process.stderr);
    return process.stdout;
  };
  await ends(0, "check");
  assertStringIncludes(
    await ends(0, "start", "--daemon"),
    `its output is in ${site.dir.file("sub/m.pid.log")}`,
  );
  assertMatch(await ends(0, "status"), /\na\.cf +ready/);
  await ends(0, "reload");
  await ends(0, "stop", "-master-control", "m.pid.sock");
  await ends(3, "status");
  await site.isGone();
});

Deno.test("commands refuse to look for a master in another root, and say why", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const { code, err } = await zcHere(site, "status", "-run-chroot", "/srv");
  assertEquals(code, 78);
  assertStringIncludes(err, 'Cannot look for the master in "/srv": run-chroot, so its paths begin');
});

Deno.test("a directory that can't be read is a problem of the configuration", async () => {
  const args = parseArguments(["-C", "/nowhere"]);
  assertEquals(await withMaster(args, () => Promise.resolve(0)), 78);
});

const MISTAKES: readonly (readonly [args: readonly string[], message: string])[] = [
  [["conf"], 'Cannot run "conf": no command has this name, expected a command that --help lists'],
  [["scale", "a.cf", "x"], 'Cannot scale to "x": not such a number, expected a whole number from'],
  [
    ["scale", "a.cf", "-1"],
    'Cannot scale to "-1": not such a number, expected a whole number from',
  ],
  [["help", "scale", "x"], 'Cannot run "help scale x": too many arguments, expected help scale'],
  [["start", "--daemon", "--foreground"], "--foreground too, expected one of the two"],
];

Deno.test("a mistake in a command line gets one message, with the nearest known word", async () => {
  await using site = new Site();
  for (const [index, [args, message]] of MISTAKES.entries()) {
    const { code, out, err } = index === 0 ? await zc(site, ...args) : await runHere(args);
    assertEquals([code, out], [64, ""], args.join(" "));
    assertStringIncludes(err, message);
  }
});

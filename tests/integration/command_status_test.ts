/** The commands that look at a master, its services and its settings, and change nothing. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { withMaster } from "../../src/commands/connect.ts";
import type { Finding } from "../../src/commands/doctor_checks.ts";
import { parseArguments } from "../../src/config/args.ts";
import { greeted } from "../support/client.ts";
import {
  becomes,
  controlOf,
  failing,
  runHere,
  serviceOf,
  zc,
  zcHere,
} from "../support/commands.ts";
import { answering, MASTER_PROGRAM, MODES, Site } from "../support/master.ts";
import { TestProcess } from "../support/processes.ts";
import { eventually, within } from "../support/wait.ts";

Deno.test("status tells services, processes, listeners, and its exit code whether all is well", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-proc-count": 2 });
  const master = await site.start();
  const pids = await master.serving("a.cf", 2);
  using client = await controlOf(site);
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
  using client = await controlOf(site);
  await Promise.all(services.map(async ({ id, port }) => {
    await becomes(client, id, "ready");
    // A process that does not tell them within half a second has those of before.
    const tells = (open: number, accepted: number) =>
      eventually(async () => {
        const { processes: [counts] } = await serviceOf(client, id);
        return counts.connections === open && counts.accepted === accepted;
      }, { what: `${open} open and ${accepted} accepted connections of ${id}` });
    await tells(0, 0);
    using one = await greeted(port);
    using two = await greeted(port);
    await tells(2, 2);
    two.close();
    await tells(1, 2);
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
  using client = await controlOf(site);
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
  const { restarts: before, processes: [{ heartbeatMs }] } = await serviceOf(client, "a.cf");
  assert(heartbeatMs! < 10_000);
  Deno.kill(pid, "SIGSTOP");
  await eventually(async () => {
    const { restarts, lastExit } = await serviceOf(client, "a.cf");
    return restarts === before + 1 && lastExit?.pid === pid &&
      /SIG(ABRT|KILL)/.test(lastExit.reason);
  }, { what: "the restart to be counted" });
  await master.stop();
});

Deno.test("events tell what happens: an end, a new process, a reload, a failure, the stop", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const [first] = await master.serving("a.cf", 1);
  using watching = await controlOf(site);
  using client = await controlOf(site);
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
  using client = await controlOf(site);
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

Deno.test("check tells each problem with its place, and leaves the running master alone", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const free = await zcHere(site, "check");
  assertEquals([free.code, free.out], [0, "1 service, 0 errors, 0 warnings\n"], free.err);
  const unnamed = ["check", "-pid-file", site.pidFile];
  const nowhere = await runHere(unnamed);
  assertEquals([nowhere.code, nowhere.out], [64, ""]);
  assertStringIncludes(
    nowhere.err,
    'Cannot read argument "-C": it is missing, and no master runs here that has one, expected -C DIR',
  );
  const master = await site.start();
  const [pid] = await master.serving("a.cf", 1);
  const found = await runHere(unnamed);
  assertEquals([found.code, found.out], [0, "1 service, 0 errors, 0 warnings\n"], found.err);
  // The addresses that the master holds itself are free for it.
  const held = await zc(site, "check", "--strict");
  assertEquals([held.code, held.out], [0, "1 service, 0 errors, 0 warnings\n"], held.err);
  const busy = site.busyPort();
  site.serve("b.cf", {
    mode: "coroutine",
    service: `127.0.0.1:${busy}, ${site.dir.path}/no/where.sock`,
    "server-prot-count": 3,
  });
  const wrong = await runHere(unnamed);
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
  using client = await controlOf(site);
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
  // The shell has set the limit by then.
  const isAsleep = () => Deno.readTextFileSync(`/proc/${pid}/cmdline`).startsWith("sleep\0");
  await eventually(isAsleep, { what: "the program of c.cf" });
  assertEquals((await examine()).map(({ subject, command }) => [subject, command]), [
    ...changed.map((path) => [path, "zc plan && zc reload"]),
    [`process ${pid} of c.cf: limit of open files`, null],
  ]);
  await master.stop();
});

Deno.test("status --watch goes on at an upgrade, and ends with its reader or the last master", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.serving("a.cf", 1);
  using _ = await controlOf(site);
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

Deno.test("a directory that can't be read is a problem of the configuration", async () => {
  const args = parseArguments(["-C", "/nowhere"]);
  assertEquals(await withMaster(args, () => Promise.resolve(0)), 78);
});

Deno.test("a command behind other arguments is put before them", async () => {
  await using site = new Site();
  const { code, out, err } = await zc(site, "-C", "conf", "reload", "web");
  assertEquals([code, out], [64, ""]);
  const given = `-C ${site.conf} -pid-file ${site.pidFile}`;
  assertEquals(
    err,
    `Cannot run "-C conf reload web ${given}": reload behind other arguments, ` +
      `expected reload -C conf web ${given}\n`,
  );
});

const MISTAKES: readonly (readonly [args: readonly string[], message: string])[] = [
  [
    ["conf"],
    'Cannot run "conf": no command has this name, expected one of start stop restart reload ',
  ],
  [["stat"], 'Cannot run "stat": no command has this name, expected status'],
  [["sta"], 'Cannot run "sta": no command has this name, expected start or status'],
  [["scale", "a.cf", "x"], 'Cannot scale to "x": not a whole number, expected a whole number from'],
  [["scale", "a.cf", "-1"], 'Cannot scale to "-1": below 1, expected a whole number from'],
  [["scale", "a.cf", "99999"], 'Cannot scale to "99999": above 10000, expected a whole number'],
  [
    ["logs", "-n", "1000001"],
    'Cannot show "1000001": above 1000000, expected a whole number from 0',
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

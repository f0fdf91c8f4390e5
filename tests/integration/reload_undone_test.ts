/** Reloads that fail: the old processes go on as if nothing had been asked for. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greeted, isRefused, type Target } from "../support/client.ts";
import { type Master, MODES, pidIn, Site } from "../support/master.ts";
import { successorOf } from "../support/peers.ts";
import { listenerInode } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** What is wrong with a new version, and how the log tells of it. */
const FAULTS: readonly {
  readonly how: string;
  /** How many processes the service has. */
  readonly count: number;
  readonly settings: (site: Site) => Record<string, string | number>;
  readonly reason: RegExp;
}[] = [
  {
    how: "ends at once",
    count: 2,
    settings: () => ({ "exit-at-start": 7 }),
    reason: /process \d+ ended after \S+ \S+: exit code 7/,
  },
  {
    how: "is never ready",
    count: 1,
    settings: (site) => ({ "ready-when": site.dir.file("never"), "server-ready-timeout": 1 }),
    reason: /process \d+ was not ready within 1 s/,
  },
  {
    how: "ends while it soaks",
    count: 1,
    settings: () => ({ "exit-after": 1, "server-soak": 60 }),
    reason: /process \d+ ended after \S+ \S+: exit code 0/,
  },
];

/** Connects again and again until something is over; who has answered, which everybody must. */
async function answersDuring(port: number, during: Promise<unknown>): Promise<Set<number>> {
  const pids = new Set<number>();
  let over = false;
  const whenOver = during.finally(() => over = true);
  while (!over) {
    using client = await greeted(port);
    pids.add(pidIn(client));
    assertEquals(await client.ask("echo still here"), "still here");
  }
  await whenOver;
  return pids;
}

async function onlyRun(master: Master, file: string, pids: readonly number[]): Promise<void> {
  await eventually(() => master.servers(file).map(({ pid }) => pid).join() === pids.join(), {
    what: `nothing but ${pids} of ${file}`,
  });
}

Deno.test("both modes: a reload is undone for the services whose new processes end, are never ready or end while they soak", async () => {
  await using site = new Site();
  const services = MODES.flatMap((mode) =>
    FAULTS.map(({ how, settings, reason, count }, index) => {
      const file = `${mode}_${index}.cf`, [port, fresh] = [site.port(), site.port()];
      const path = site.socket(`${mode}_${index}`);
      const old = { mode, service: `127.0.0.1:${port}`, own: "old", "server-proc-count": count };
      site.serve(file, old);
      const spoil = () => {
        const service = `127.0.0.1:${port},127.0.0.1:${fresh},${path}`;
        site.serve(file, { ...old, service, own: "new", ...settings(site) });
      };
      return {
        what: `${mode} mode, ${how}`,
        file,
        port,
        added: [fresh, path],
        count,
        reason,
        spoil,
      };
    })
  );
  const good = MODES.map((mode) => ({ mode, file: `${mode}_good.cf`, port: site.port() }));
  const writeGood = (own: string) => {
    for (const { mode, file, port } of good) site.serve(file, { mode, service: port, own });
  };
  writeGood("old");
  const master = await site.start();
  const running = await Promise.all(
    services.map(async (service) => {
      const pids = await master.serving(service.file, service.count);
      return { ...service, pids, kept: await greeted(service.port) };
    }),
  );
  const before = await Promise.all(
    good.map(async ({ file }) => (await master.serving(file, 1))[0]),
  );

  for (const { spoil } of services) spoil();
  writeGood("new");
  const undone = master.reloadUndone();
  // While they soak, the new ones serve too.
  const replacedNever = running.filter(({ what }) => !what.endsWith("ends while it soaks"));
  await Promise.all(replacedNever.map(async ({ what, port, pids }) => {
    const answered = await answersDuring(port, undone);
    assert(
      [...answered].every((pid) => pids.includes(pid)),
      `${what}: ${[...answered]} of ${pids}`,
    );
  }));
  assertEquals((await undone).split(" ").sort(), services.map(({ file }) => file).sort());

  for (const { what, file, added, pids, kept, reason } of running) {
    const rolledBack = new RegExp(`reload rolled back for ${file}: ${reason.source}`);
    assertMatch(master.log, rolledBack, what);
    await onlyRun(master, file, pids);
    // The kernel takes a moment to close what a process held that has ended.
    const isClosed = (target: Target) => listenerInode(target) === undefined;
    await eventually(() => added.every(isClosed), { what: `the new listeners' end: ${what}` });
    assert(added.every((target) => typeof target === "number" || !existsSync(target)), what);
    assertEquals(await kept.ask("echo kept"), "kept", what);
  }
  // The other services have not been held back.
  for (const [index, { port }] of good.entries()) {
    await master.reaps(before[index]);
    using reloaded = await greeted(port);
    assertEquals(await reloaded.ask("setting own"), "new");
  }

  // The old settings are in force, also for who comes later.
  for (const { what, port, pids, kept } of running) {
    for (const pid of pids) Deno.kill(pid, "SIGKILL");
    using replaced = await greeted(port);
    assert(!pids.includes(pidIn(replaced)), what);
    assertEquals(await replaced.ask("setting own"), "old", what);
    kept.close();
  }
  await master.stop();
});

Deno.test("a service under a new file name serves without a gap, and goes back if it fails", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("first.cf", { mode: "aio", service: port });
  const master = await site.start();
  const [old] = await master.serving("first.cf", 1);
  site.remove("first.cf");
  site.serve("second.cf", { mode: "aio", service: port, "exit-at-start": 3 });
  const undone = master.reloadUndone();
  assertEquals([...await answersDuring(port, undone)], [old]);
  assertEquals((await undone).split(" ").sort(), ["first.cf", "second.cf"]);
  await onlyRun(master, "first.cf", [old]);

  const ready = site.dir.file("ready");
  site.serve("second.cf", { mode: "aio", service: port, "ready-when": ready });
  const reloaded = master.reload();
  await eventually(() => master.servers("second.cf").length === 1, { what: "the new process" });
  using before = await greeted(port);
  assertEquals(pidIn(before), old);
  Deno.writeTextFileSync(ready, "");
  await answersDuring(port, reloaded);
  const [pid] = await master.serving("second.cf", 1);
  // The master's word may still be on its way to the old one.
  using after = await successorOf(old, port);
  assertEquals(pidIn(after), pid);
  assertEquals(await before.ask("echo finishing"), "finishing");
  before.close(), after.close();
  await onlyRun(master, "first.cf", []);
  await master.stop();
});

Deno.test("a service that is new and fails leaves nothing, and comes with the next reload", async () => {
  await using site = new Site();
  const [port, fresh] = [site.port(), site.port()];
  const path = site.socket("fresh");
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const service = `127.0.0.1:${fresh},${path},fifo:${site.dir.file("fifo")}`;
  site.serve("new.cf", { mode: "coroutine", service, "exit-at-start": 1 });
  assertEquals(await master.reloadUndone(), "new.cf");
  assertEquals(master.servers("new.cf"), []);
  // The kernel takes a moment to close what a process held that has ended.
  await eventually(() => isRefused(fresh), { what: "the new listener's end" });
  assert(!existsSync(path) && !existsSync(site.dir.file("fifo")));
  site.serve("new.cf", { mode: "coroutine", service });
  await master.reload();
  const [pid] = await master.serving("new.cf", 1);
  for (const target of [fresh, path]) {
    using client = await greeted(target);
    assertEquals(pidIn(client), pid);
  }
  await master.stop();
});

Deno.test("a reload that comes while another one is tried waits for its outcome", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "aio", service: port, own: "old" });
  const master = await site.start();
  const [old] = await master.serving("a.cf", 1);
  const ready = site.dir.file("ready");
  site.serve("a.cf", { mode: "aio", service: port, own: "first", "ready-when": ready });
  await master.reloadBegun();
  site.serve("a.cf", { mode: "aio", service: port, own: "second" });
  master.process.signal("SIGHUP");
  using during = await greeted(port);
  assertEquals(pidIn(during), old);
  assertEquals(master.logged(/\] listeners: /), 2);
  Deno.writeTextFileSync(ready, "");
  await master.logs(/\] reloaded\n/, 2);
  await eventually(async () => {
    using client = await greeted(port);
    return await client.ask("setting own") === "second";
  }, { what: "the last settings" });
  assertNotEquals(await master.serving("a.cf", 2), []);
  during.close();
  await master.stop();
});

Deno.test("a reload of which nothing succeeds leaves the master's own settings as they were", async () => {
  await using site = new Site();
  const settings = { mode: "aio", service: site.port() } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  site.write("all.gcf", { "server-log": "stdout" });
  site.serve("a.cf", { ...settings, "exit-at-start": 3 });
  assertEquals(await master.reloadUndone(), "a.cf");
  assert(!master.process.stdout.includes("master["), master.process.stdout);
  // One service that succeeds is enough.
  site.serve("b.cf", { mode: "aio", service: site.port() });
  master.signal("SIGHUP");
  await master.process.prints(/ error master\[\d+\] reload over, rolled back for a\.cf/m);
  await master.stop();
});

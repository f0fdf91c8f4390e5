/** Reloads that fail: the old processes go on as if nothing had been asked for. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greeted, isRefused, type Target } from "../support/client.ts";
import { type Master, MODES, pidIn, Site } from "../support/master.ts";
import { listenerInode } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** What is wrong with a new version, and how the log tells of it. */
const FAULTS: readonly {
  readonly how: string;
  readonly settings: (site: Site) => Record<string, string | number>;
  readonly reason: RegExp;
}[] = [
  {
    how: "ends at once",
    settings: () => ({ "exit-at-start": 7 }),
    reason: /process \d+ ended after \S+ \S+: exit code 7/,
  },
  {
    how: "is never ready",
    settings: (site) => ({ "ready-when": site.dir.file("never"), "server-ready-timeout": 1 }),
    reason: /process \d+ was not ready within 1 s/,
  },
  {
    how: "ends while it soaks",
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

for (const mode of MODES) {
  for (const { how, settings, reason } of FAULTS) {
    Deno.test(`${mode} mode: a reload is undone when a new process ${how}`, async () => {
      await using site = new Site();
      const [port, fresh, other] = [site.port(), site.port(), site.port()];
      const path = site.socket("fresh");
      const old = { mode, service: `127.0.0.1:${port}`, own: "old", "server-proc-count": 2 };
      site.serve("a.cf", old);
      site.serve("b.cf", { mode, service: other, own: "old" });
      const master = await site.start();
      const pids = await master.serving("a.cf", 2);
      const [otherPid] = await master.serving("b.cf", 1);
      using kept = await greeted(port);

      const service = `127.0.0.1:${port},127.0.0.1:${fresh},${path}`;
      site.serve("a.cf", { ...old, service, own: "new", ...settings(site) });
      site.serve("b.cf", { mode, service: other, own: "new" });
      const undone = master.reloadUndone();
      // While they soak, the new ones serve too.
      if (how !== "ends while it soaks") {
        const answered = await answersDuring(port, undone);
        assert([...answered].every((pid) => pids.includes(pid)), `${[...answered]} of ${pids}`);
      }
      assertEquals(await undone, "a.cf");
      assertMatch(master.log, new RegExp(`reload rolled back for a\\.cf: ${reason.source}`));

      await onlyRun(master, "a.cf", pids);
      // The kernel takes a moment to close what a process held that has ended.
      const isClosed = (target: Target) => listenerInode(target) === undefined;
      await eventually(() => [fresh, path].every(isClosed), { what: "the new listeners' end" });
      assert(!existsSync(path), "the socket file is left");
      assertEquals(await kept.ask("echo kept"), "kept");
      // The other service has not been held back.
      await eventually(() => master.servers("b.cf").every(({ pid }) => pid !== otherPid), {
        what: "the end of the old process of b.cf",
      });
      using reloaded = await greeted(other);
      assertEquals(await reloaded.ask("setting own"), "new");

      // The old settings are in force, also for who comes later.
      for (const pid of pids) Deno.kill(pid, "SIGKILL");
      using replaced = await greeted(port);
      assert(!pids.includes(pidIn(replaced)));
      assertEquals(await replaced.ask("setting own"), "old");
      replaced.close(), reloaded.close(), kept.close();
      await master.stop();
    });
  }
}

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
  using after = await greeted(port);
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
  assert(await isRefused(fresh) && !existsSync(path) && !existsSync(site.dir.file("fifo")));
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

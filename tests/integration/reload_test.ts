import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Client, greeted, isRefused } from "../support/client.ts";
import { MODES, pidIn, Site } from "../support/master.ts";
import { listenerInode } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

for (const mode of MODES) {
  Deno.test(`${mode} mode: a connection that waits while nobody serves is answered after a reload`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("sock");
    const settings = { mode, service: `127.0.0.1:${port},${path}` };
    site.serve("a.cf", { ...settings, "server-proc-count": 0 });
    const master = await site.start();
    const inodes = [port, path].map(listenerInode);
    using waiting = await Client.connect(port);
    using alsoWaiting = await Client.connect(path);
    await waiting.write("echo patience\n");
    site.serve("a.cf", { ...settings, "server-proc-count": 1 });
    await master.reload();
    const [pid] = await master.serving("a.cf", 1);
    assertEquals(await waiting.line(), `${mode} ${pid} - inet`);
    assertEquals(await waiting.line(), "patience");
    assertEquals(await alsoWaiting.line(), `${mode} ${pid} - unix`);
    assertEquals([port, path].map(listenerInode), inodes);
    waiting.close(), alsoWaiting.close();
    await master.stop();
  });
}

Deno.test("a reload keeps the listeners that are named again, opens new ones and closes the others", async () => {
  await using site = new Site();
  const [kept, closed, opened] = [site.port(), site.port(), site.port()];
  const [keptPath, closedPath, openedPath] = ["k", "c", "o"].map((name) => site.socket(name));
  const service = (...addresses: (number | string)[]) =>
    addresses.map((at) => typeof at === "number" ? `127.0.0.1:${at}` : at).join(" ");
  site.serve("a.cf", { mode: "aio", service: service(kept, closed, keptPath, closedPath) });
  const master = await site.start();
  const inodes = [kept, keptPath].map(listenerInode);
  const file = Deno.statSync(keptPath).ino;
  site.serve("a.cf", { mode: "aio", service: service(opened, kept, openedPath, keptPath) });
  await master.reload();
  for (const target of [kept, opened, keptPath, openedPath]) (await greeted(target)).close();
  assertEquals([kept, keptPath].map(listenerInode), inodes);
  assertEquals(Deno.statSync(keptPath).ino, file);
  // The old process may still hold what the master has closed, until it has stopped.
  await eventually(async () => await isRefused(closed) && await isRefused(closedPath), {
    what: "the closed listeners to be closed by the old process too",
  });
  await master.stop();
});

Deno.test("a reload starts and stops processes until there are as many as the file asks for", async () => {
  await using site = new Site();
  const settings = { mode: "coroutine", service: site.port() } as const;
  site.serve("a.cf", { ...settings, "server-proc-count": 1 });
  const master = await site.start();
  let old = await master.serving("a.cf", 1);
  for (const count of [3, 2, 0, 1]) {
    site.serve("a.cf", { ...settings, "server-proc-count": count });
    await master.reload();
    await eventually(() => master.servers().every(({ pid }) => !old.includes(pid)), {
      what: "the end of the old processes",
    });
    old = await master.serving("a.cf", count);
  }
  await master.stop();
});

for (const mode of MODES) {
  Deno.test(`${mode} mode: changed settings, own and shared ones, reach the new processes`, async () => {
    await using site = new Site();
    const port = site.port();
    site.write("all.gcf", { shared: "first", both: "shared" });
    site.serve("a.cf", { mode, service: port, own: "first", both: "own" });
    const master = await site.start();
    const settings = async (pid?: number) => {
      using client = await greeted(port);
      if (pid !== undefined) assertEquals(pidIn(client), pid);
      return [
        await client.ask("setting shared"),
        await client.ask("setting own"),
        await client.ask("setting both"),
      ];
    };
    assertEquals(await settings(), ["first", "first", "own"]);
    const [old] = await master.serving("a.cf", 1);
    site.write("all.gcf", { shared: "second", both: "shared" });
    site.serve("a.cf", { mode, service: port, own: "second" });
    await master.reload();
    await eventually(() => master.servers().every(({ pid }) => pid !== old), { what: "its end" });
    const [pid] = await master.serving("a.cf", 1);
    assertEquals(await settings(pid), ["second", "second", "shared"]);
    await master.stop();
  });
}

Deno.test("a reload starts the services of new files and stops those of removed ones", async () => {
  await using site = new Site();
  const [first, second, third] = [site.port(), site.port(), site.port()];
  site.serve("a.cf", { mode: "coroutine", service: first });
  site.serve("b.cf", { mode: "aio", service: second });
  const master = await site.start();
  await Promise.all([master.serving("a.cf", 1), master.serving("b.cf", 1)]);
  site.remove("a.cf");
  site.serve("c.cf", { mode: "coroutine", service: third });
  await master.reload();
  await Promise.all([master.serving("a.cf", 0), master.serving("c.cf", 1)]);
  assert(await isRefused(first));
  for (const target of [second, third]) (await greeted(target)).close();
  await master.serving("b.cf", 1);
  await master.stop();
});

Deno.test("a listener that another file names after a reload stays the same socket", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("old.cf", { mode: "coroutine", service: port, "server-proc-count": 0 });
  const master = await site.start();
  const inode = listenerInode(port);
  using waiting = await Client.connect(port);
  site.remove("old.cf");
  site.serve("new.cf", { mode: "aio", service: `name://127.0.0.1:${port}` });
  await master.reload();
  const [pid] = await master.serving("new.cf", 1);
  assertEquals(await waiting.line(), `aio ${pid} name inet`);
  assertEquals(listenerInode(port), inode);
  waiting.close();
  await master.stop();
});

Deno.test("an old process serves until the new ones are ready", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const [old] = await master.serving("a.cf", 1);
  const ready = site.dir.file("ready");
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-proc-count": 2,
    "ready-when": ready,
  });
  await master.reloadBegun();
  await master.logs(/\] beforeService/, 3);
  for (let count = 0; count < 5; count++) {
    using client = await greeted(port);
    assertEquals(pidIn(client), old);
    assertEquals(await client.ask("echo still here"), "still here");
  }
  assertEquals(master.servers().length, 3);
  Deno.writeTextFileSync(ready, "");
  const now = await master.serving("a.cf", 2);
  assert(!now.includes(old));
  using client = await greeted(port);
  assertNotEquals(pidIn(client), old);
  client.close();
  await master.stop();
});

Deno.test("old processes go on while the new ones only die, and the next reload mends it", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "aio", service: port });
  const master = await site.start();
  const [old] = await master.serving("a.cf", 1);
  site.serve("a.cf", { mode: "aio", service: port, "exit-at-start": 4 });
  assertEquals(await master.reloadUndone(), "a.cf");
  await master.logs(/reload rolled back for a\.cf: process \d+ ended after \S+ \S+: exit code 4/);
  using during = await greeted(port);
  assertEquals(pidIn(during), old);
  site.serve("a.cf", { mode: "aio", service: port });
  await master.reload();
  await eventually(async () => {
    using after = await greeted(port);
    return pidIn(after) !== old;
  }, { what: "an answer of the new process" });
  assertEquals(await during.ask("echo finishing"), "finishing");
  during.close();
  assertNotEquals(await master.serving("a.cf", 1), [old]);
  await master.stop();
});

Deno.test("a hundred SIGHUPs in a burst end in the right state", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { mode: "coroutine", service: port, "server-proc-count": 2 } as const;
  site.serve("a.cf", { ...settings, own: "first" });
  const master = await site.start();
  const old = await master.serving("a.cf", 2);
  site.serve("a.cf", { ...settings, own: "last" });
  let most = 0;
  for (let count = 0; count < 100; count++) {
    master.process.signal("SIGHUP");
    if (count % 10 === 0) most = Math.max(most, master.servers().length);
  }
  await master.logs(/ reloaded\n/);
  await eventually(() => {
    const pids = master.servers().map(({ pid }) => pid);
    most = Math.max(most, pids.length);
    return pids.length === 2 && pids.every((pid) => !old.includes(pid));
  }, { what: "two new processes", withinMs: 20_000 });
  const pids = await master.serving("a.cf", 2);
  using client = await greeted(port);
  assertEquals(await client.ask("setting own"), "last");
  assert(pids.includes(pidIn(client)));
  client.close();
  // No reload is under way any more.
  await master.reload();
  await eventually(() => master.servers().every(({ pid }) => !pids.includes(pid)), { what: "end" });
  await master.serving("a.cf", 2);
  await master.stop();
});

Deno.test("a reload takes the master's log to where the shared settings say", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.reload();
  assertEquals(master.process.stdout, "");
  site.write("all.gcf", { "server-log": "stdout" });
  master.process.signal("SIGHUP");
  await master.process.prints(/ info master\[\d+\] reloaded/m);
  await master.stop();
});

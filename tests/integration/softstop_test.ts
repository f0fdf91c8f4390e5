import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { type Master, type ModeName, MODES, pidIn, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const SECOND = 1_000;
const M = "server-stop-on-softstop-after";
const HOOK = "--before-softstop";

/** Waits until a process has ended. */
async function ends(master: Master, pid: number): Promise<void> {
  await eventually(() => !master.servers().some((server) => server.pid === pid), {
    what: `the end of process ${pid}`,
  });
}

function runs(master: Master, pid: number): boolean {
  return master.servers().some((server) => server.pid === pid);
}

/** Reloads, and waits until the new process serves, so that the old one has been told to stop. */
async function replace(master: Master): Promise<number> {
  const old = master.servers("a.cf").map(({ pid }) => pid);
  await master.reload();
  const isNew = (pid: number) => !old.includes(pid);
  const pid = await eventually(() => master.servers("a.cf").map(({ pid }) => pid).find(isNew), {
    what: "a new process",
  });
  await master.logs(new RegExp(`\\[${pid}\\] serviceRegister`));
  return pid;
}

async function isServed(client: Client): Promise<void> {
  for (const text of ["one", "two"]) assertEquals(await client.ask(`echo ${text}`), text);
}

/** A test for each mode, both at the same time: these take a second, whatever the machine. */
function testBoth(name: string, body: (mode: ModeName) => Promise<void>): void {
  Deno.test(`both modes: ${name}`, async () => {
    await Promise.all(MODES.map(body));
  });
}

testBoth(`without ${M} an old process ends with its last connection`, async (mode) => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode, service: port });
  const master = await site.start();
  using first = await greeted(port);
  using second = await greeted(port);
  const old = pidIn(first);
  await replace(master);
  await isServed(first);
  assertEquals(await first.ask("quit"), "bye");
  await isServed(second);
  second.close();
  await ends(master, old);
  await master.stop();
});

testBoth(`with ${M} = 0 an old process ends at once, connections or not`, async (mode) => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode, service: port, [M]: 0 });
  const master = await site.start();
  using client = await greeted(port);
  await replace(master);
  assertEquals(await client.ending(), "end of file");
  await ends(master, pidIn(client));
  await master.stop();
});

testBoth(`with ${M} = 1 an old process serves for a second more, no longer`, async (mode) => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode, service: port, [M]: "1s" });
  const master = await site.start();
  using idle = await greeted(port);
  const startMs = performance.now();
  await replace(master);
  await isServed(idle);
  assertEquals(await idle.ending(), "end of file");
  await ends(master, pidIn(idle));
  const elapsed = performance.now() - startMs;
  assert(elapsed > 0.9 * SECOND && elapsed < 4 * SECOND, `${elapsed} ms`);
  await master.stop();
});

testBoth(
  `with ${M} > 0 an old process goes on for that time even without connections`,
  async (mode) => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode, service: port, [M]: 1 });
    const master = await site.start();
    const [old] = await master.serving("a.cf", 1);
    const startMs = performance.now();
    await replace(master);
    await ends(master, old);
    assert(performance.now() - startMs > 0.9 * SECOND);
    await master.stop();
  },
);

testBoth(
  `with the hook and ${M} = 0 an old process goes on, and the hook is called`,
  async (mode) => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode, service: port, args: [HOOK], [M]: 0 });
    const master = await site.start({ args: ["-master-stop-timeout", "1"] });
    using client = await greeted(port);
    await replace(master);
    await master.logs(new RegExp(`\\[${pidIn(client)}\\] beforeSoftstop`));
    await isServed(client);
    // Nor does it end with its last connection.
    client.close();
    using other = await greeted(port);
    await isServed(other);
    assertNotEquals(pidIn(other), pidIn(client));
    assert(runs(master, pidIn(client)));
    other.close();
    await master.stop();
  },
);

testBoth(`with the hook and ${M} = 1 an old process ends after a second`, async (mode) => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode, service: port, args: [HOOK], [M]: 1 });
  const master = await site.start();
  using client = await greeted(port);
  const startMs = performance.now();
  await replace(master);
  await master.logs(new RegExp(`\\[${pidIn(client)}\\] beforeSoftstop`));
  await isServed(client);
  assertEquals(await client.ending(), "end of file");
  assert(performance.now() - startMs > 0.9 * SECOND);
  await master.stop();
});

testBoth("with the hook alone an old process ends with its last connection", async (mode) => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode, service: port, args: [HOOK, "--fail-in=beforeSoftstop"] });
  const master = await site.start();
  using client = await greeted(port);
  await replace(master);
  await master.logs(/error while stopping: Error: a fault in beforeSoftstop/);
  await isServed(client);
  client.close();
  await ends(master, pidIn(client));
  await master.stop();
});

testBoth("stopNotify(0) ends the process, and stopNotify(1) after a second", async (mode) => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode, service: port });
  const master = await site.start();
  using first = await greeted(port);
  assertEquals(await first.ask("stop 1"), "stopping");
  const startMs = performance.now();
  await isServed(first);
  assertEquals(await first.ending(), "end of file");
  assert(performance.now() - startMs > 0.9 * SECOND);
  await ends(master, pidIn(first));
  using second = await greeted(port);
  await second.write("stop 0\n");
  await ends(master, pidIn(second));
  await master.logs(/a\.cf: process \d+ ended after \S+ \S+: exit code 0/, 2);
  await master.serving("a.cf", 1);
  await master.stop();
});

testBoth("exit-after ends a process after that time, and it is replaced", async (mode) => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode, service: port, "exit-after": 1 });
  const master = await site.start();
  using client = await greeted(port);
  const startMs = performance.now();
  await isServed(client);
  assertEquals(await client.ending(), "end of file");
  const elapsed = performance.now() - startMs;
  assert(elapsed > 0.5 * SECOND && elapsed < 3 * SECOND, `${elapsed} ms`);
  using next = await greeted(port);
  assertNotEquals(pidIn(next), pidIn(client));
  next.close();
  await master.stop();
});

Deno.test("a process that is told to stop in its beforeService ends at once", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "ready-when": site.dir.file("never") });
  const master = await site.start();
  await master.logs(/\] beforeService/);
  const [{ pid }] = master.servers();
  site.serve("a.cf", { mode: "coroutine", service: port });
  await master.reload();
  await ends(master, pid);
  await master.serving("a.cf", 1);
  await master.stop();
});

Deno.test("processes of a reload that are not ready in time are stopped, and the old ones go on", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { mode: "aio", service: port } as const;
  site.serve("a.cf", settings);
  const master = await site.start();
  const [old] = await master.serving("a.cf", 1);
  const hanging = { "ready-when": site.dir.file("never"), "server-ready-timeout": 1 };
  site.serve("a.cf", { ...settings, ...hanging });
  assertEquals(await master.reloadUndone(), "a.cf");
  const [, second] = await master.logs(
    /reload rolled back for a\.cf: process (\d+) was not ready within/,
  );
  await ends(master, Number(second));
  using client = await greeted(port);
  assertEquals(pidIn(client), old);
  client.close();
  await master.stop();
});

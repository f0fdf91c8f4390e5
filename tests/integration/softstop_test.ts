import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { type Master, MODES, pidIn, Site } from "../support/master.ts";

const SECOND = 1_000;
const M = "server-stop-on-softstop-after";
const HOOK = "--before-softstop";

function runs(master: Master, pid: number): boolean {
  return master.servers().some((server) => server.pid === pid);
}

async function isServed(client: Client): Promise<void> {
  for (const text of ["one", "two"]) assertEquals(await client.ask(`echo ${text}`), text);
}

/** A service whose process is replaced by a reload, and what is to come of the old process. */
interface Replaced {
  readonly settings: Readonly<Record<string, unknown>>;
  /** Whether a second client is connected to the old process. */
  readonly isShared?: boolean;
  /** Called when the old process, which the client is connected to, has been told to stop. */
  readonly check: (old: Old) => Promise<void>;
}

/** The process that a client is connected to. */
interface Old {
  readonly master: Master;
  readonly port: number;
  readonly client: Client;
  /** The second client, where there is one. */
  readonly second?: Client;
  readonly pid: number;
  /** When the reload was asked for, and when the process had been told to stop. */
  readonly sinceMs: number;
  readonly toldMs: number;
}

const REPLACED: Readonly<Record<string, Replaced>> = {
  [`without ${M} an old process ends with its last connection`]: {
    settings: {},
    isShared: true,
    check: async ({ master, client, second, pid }) => {
      assert(second !== undefined);
      await isServed(client);
      assertEquals(await client.ask("quit"), "bye");
      await isServed(second);
      assert(runs(master, pid));
      second.close();
      await master.reaps(pid);
    },
  },
  "with server-drain-timeout = 1h an old process ends with its last connection": {
    settings: { "server-drain-timeout": "1h" },
    check: async ({ master, client, pid }) => {
      await isServed(client);
      client.close();
      await master.reaps(pid);
    },
  },
  "with server-drain-timeout = 1 an old process serves for a second at the longest": {
    settings: { "server-drain-timeout": "1s" },
    check: async ({ master, client, pid, sinceMs }) => {
      assertEquals(await client.ending(), "end of file");
      assert(performance.now() - sinceMs > 0.9 * SECOND);
      await master.reaps(pid);
      await master.logs(
        new RegExp(`\\[${pid}\\] 1 connection was open at the time limit, and cut`),
      );
    },
  },
  [`with ${M} = 0 an old process ends at once, connections or not`]: {
    settings: { [M]: 0 },
    check: async ({ master, client, pid }) => {
      assertEquals(await client.ending(), "end of file");
      await master.reaps(pid);
    },
  },
  [`with ${M} = 1 an old process serves for a second more, no longer`]: {
    settings: { [M]: "1s" },
    check: async ({ master, client, pid, sinceMs, toldMs }) => {
      assertEquals(await client.ending(), "end of file");
      await master.reaps(pid);
      const now = performance.now();
      assert(now - sinceMs > 0.9 * SECOND && now - toldMs < 20 * SECOND, `${now - toldMs} ms`);
      await master.logs(
        new RegExp(`\\[${pid}\\] 1 connection was open at the time limit, and cut`),
      );
    },
  },
  [`with ${M} > 0 an old process goes on for that time even without connections`]: {
    settings: { [M]: 1 },
    check: async ({ master, client, pid, sinceMs }) => {
      client.close();
      await master.reaps(pid);
      assert(performance.now() - sinceMs > 0.9 * SECOND);
    },
  },
  [`with the hook and ${M} = 0 an old process goes on, and the hook is called`]: {
    settings: { args: [HOOK], [M]: 0 },
    check: async ({ master, port, client, pid }) => {
      await master.logs(new RegExp(`\\[${pid}\\] beforeSoftstop`));
      await isServed(client);
      // Nor does it end with its last connection.
      client.close();
      using other = await greeted(port);
      await isServed(other);
      assertNotEquals(pidIn(other), pid);
      assert(runs(master, pid));
    },
  },
  [`with the hook and ${M} = 1 an old process ends after a second`]: {
    settings: { args: [HOOK], [M]: 1 },
    check: async ({ master, client, pid, sinceMs }) => {
      await master.logs(new RegExp(`\\[${pid}\\] beforeSoftstop`));
      assertEquals(await client.ending(), "end of file");
      assert(performance.now() - sinceMs > 0.9 * SECOND);
    },
  },
  "with the hook alone an old process ends with its last connection": {
    settings: { args: [HOOK, "--fail-in=beforeSoftstop"] },
    check: async ({ master, client, pid }) => {
      await master.logs(
        new RegExp(`\\[${pid}\\] error while stopping: Error: a fault in beforeSoftstop`),
      );
      await isServed(client);
      client.close();
      await master.reaps(pid);
    },
  },
};

Deno.test("both modes: what an old process does after a reload, by its settings and its hook", async (t) => {
  await using site = new Site();
  const services = Object.entries(REPLACED).flatMap(([what, { settings, ...more }], index) =>
    MODES.map((mode) => {
      const file = `${mode}_${index}.cf`, port = site.port();
      site.serve(file, { mode, service: port, ...settings });
      return { what: `${mode} mode: ${what}`, file, port, ...more };
    })
  );
  // Those that go on without end are killed at the end.
  const master = await site.start({ args: ["-master-stop-timeout", "1"] });
  const clients = await Promise.all(services.map(async ({ port, isShared }) => ({
    client: await greeted(port),
    second: isShared ? await greeted(port) : undefined,
  })));
  await Promise.all(services.map(({ file }) => master.serving(file, 1)));
  const sinceMs = performance.now(), reloaded = master.reload();
  const outcomes = services.map(async ({ what, port, check }, index) => {
    const { client, second } = clients[index], pid = pidIn(client);
    try {
      await master.logs(new RegExp(`softstop of process ${pid}`));
      await check({ master, port, client, second, pid, sinceMs, toldMs: performance.now() });
    } catch (error) {
      return { what, error };
    } finally {
      client.close();
      second?.close();
    }
    return { what };
  });
  for (const { what, error } of await Promise.all(outcomes)) {
    await t.step(what, () => {
      if (error !== undefined) throw error;
    });
  }
  await reloaded;
  await master.stop();
});

Deno.test("both modes: a process ends by stopNotify() and exit-after in its time, and is replaced", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const stops = site.port(), exits = site.port();
    site.serve(`${mode}_stops.cf`, { mode, service: stops });
    site.serve(`${mode}_exits.cf`, { mode, service: exits, "exit-after": 1 });
    return { mode, stops, exits };
  });
  const master = await site.start();
  await Promise.all(services.map(async ({ mode, stops }) => {
    using first = await greeted(stops);
    const startMs = performance.now();
    assertEquals(await first.ask("stop 1"), "stopping");
    await isServed(first);
    assertEquals(await first.ending(), "end of file");
    assert(performance.now() - startMs > 0.9 * SECOND, mode);
    await master.reaps(pidIn(first));
    using second = await greeted(stops);
    await second.write("stop 0\n");
    await master.reaps(pidIn(second));
    const ended = new RegExp(`${mode}_stops\\.cf: process \\d+ ended after \\S+ \\S+: exit code 0`);
    await master.logs(ended, 2);
    await master.serving(`${mode}_stops.cf`, 1);
  }));
  await Promise.all(services.map(async ({ mode, exits }) => {
    // One that has just been started, so that its second is not over.
    const seen = await greeted(exits);
    await seen.ending();
    seen.close();
    using client = await greeted(exits);
    const startMs = performance.now();
    await isServed(client);
    assertEquals(await client.ending(), "end of file");
    const elapsed = performance.now() - startMs;
    assert(elapsed < 20 * SECOND, `${mode}: ${elapsed} ms`);
    // By the clock of the master: the greeting may have come long after the start.
    const ended = `process ${pidIn(client)} ended after [1-9]\\S* s: exit code 0`;
    await master.logs(new RegExp(ended));
    using next = await greeted(exits);
    assertNotEquals(pidIn(next), pidIn(client));
    next.close();
  }));
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
  await master.reaps(pid);
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
  await master.reaps(Number(second));
  using client = await greeted(port);
  assertEquals(pidIn(client), old);
  client.close();
  await master.stop();
});

/** The counts of a master over reloads and upgrades, as the control socket tells them. */
import { assert, assertEquals } from "@std/assert";
import type { Status } from "../../src/control/status.ts";
import { greeted } from "../support/client.ts";
import { controlOf } from "../support/commands.ts";
import { pidIn, Site } from "../support/master.ts";
import { acceptsNoMore } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

async function statusOf(site: Site): Promise<Status> {
  using client = await controlOf(site);
  return await client.request("status");
}

/** All counts of a status, by name. */
function countsOf({ counters, services }: Status): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (name: string, value: unknown) => {
    if (typeof value === "number") counts.set(name, value);
    else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) add(`${name} ${key}`, inner);
    }
  };
  add("master", counters);
  for (const { id, counters } of services) add(id, counters);
  return counts;
}

/** Looks again and again, and fails if any count falls. */
class Watcher {
  #last = new Map<string, number>();
  looks = 0;
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(site: Site) {
    this.#done = this.#watch(site);
    this.#done.catch(() => {});
  }

  async #watch(site: Site): Promise<void> {
    while (!this.#isOver) {
      let status: Status;
      try {
        status = await statusOf(site);
      } catch {
        // Nobody has the socket at this moment.
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      this.looks++;
      const counts = countsOf(status);
      for (const [name, before] of this.#last) {
        const now = counts.get(name);
        assert(now !== undefined && now >= before, `${name} fell from ${before} to ${now}`);
      }
      this.#last = counts;
    }
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }
}

Deno.test("counts grow with reloads and unexpected ends", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  const [pid] = await master.serving("a.cf", 1);
  const [before] = (await statusOf(site)).services;
  assertEquals([before.counters.starts, before.busy], [1, 0]);
  Deno.kill(pid, "SIGKILL");
  await master.logs(/signal SIGKILL/);
  await master.serving("a.cf", 1);
  await master.reload();
  site.serve("a.cf", { mode: "coroutine", service: site.port(), "server-soak": "bad" });
  await master.reloadRefused();
  const { counters, services: [{ counters: { ends, drains } }] } = await eventually(async () => {
    const status = await statusOf(site);
    return status.services[0].counters.drains.count === 1 && status;
  }, { what: "the drain" });
  assertEquals(counters.reloads, { committed: 1, rolledBack: 0, refused: 1 });
  assertEquals([ends.signal, ends.exit, drains.killed], [1, 0, 0]);
  assertEquals(drains.buckets.at(-1), 1);
  await master.stop();
});

Deno.test("no count falls over an upgrade, and what the old generation still does is counted", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const kept = [await greeted(port), await greeted(port), await greeted(port)];
  const watcher = new Watcher(site);
  await eventually(() => watcher.looks > 2, { what: "a look" });
  await master.upgrade();
  await acceptsNoMore(pidIn(kept[0]));
  const young = await greeted(port);
  const seen = await eventually(async () => {
    const status = await statusOf(site);
    const { counters: { upgrades }, services: [{ busy }] } = status;
    return upgrades.completed === 1 && busy === 1 && status;
  }, { what: "the upgrade and the connection to be counted" });
  const [service] = seen.services;
  assertEquals([service.counters.accepted, service.counters.drains.count, service.busy], [4, 0, 1]);
  assert(service.counters.starts >= 2);
  // The drain of the old generation ends in the old master.
  for (const client of kept) client.close();
  await eventually(async () => (await statusOf(site)).services[0].counters.drains.count === 1, {
    what: "the drain of the old generation",
  });
  // Over a further upgrade, with both older masters gone or draining.
  await master.upgrade();
  assertEquals((await statusOf(site)).services[0].counters.accepted, 4);
  young.close();
  await eventually(async () => (await statusOf(site)).services[0].counters.drains.count === 2, {
    what: "the drain of the second generation",
  });
  await watcher.end();
  await master.stop();
});

Deno.test("no count falls when the old master goes on after the death of the new one", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  using kept = await greeted(port);
  const watcher = new Watcher(site);
  await eventually(() => watcher.looks > 2, { what: "a look" });
  const old = await master.upgrade();
  (await greeted(port)).close();
  (await greeted(port)).close();
  // Somebody sees them, from the new master.
  await eventually(async () => (await statusOf(site)).services[0].counters.accepted === 3, {
    what: "the connections to be counted",
  });
  master.signal("SIGKILL");
  await master.logs(/has ended: signal SIGKILL; this one goes on/);
  const status = await eventually(async () => {
    const status = await statusOf(site).catch(() => undefined);
    return status?.master.pid === old && status.counters.upgrades.failed === 1 && status;
  }, { what: "the old master" });
  assertEquals(status.services[0].counters.accepted, 3);
  kept.close();
  await watcher.end();
  master.pid = old;
  await master.stop();
});

Deno.test("no count falls when an upgrade fails", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start(), before = await statusOf(site);
  const watcher = new Watcher(site);
  site.serve("a.cf", { mode: "coroutine", service: port, "server-soak": "bad" });
  await master.upgradeFailed();
  await watcher.end();
  const { counters, services } = await statusOf(site);
  assertEquals(counters.upgrades, { completed: 0, failed: 1 });
  assertEquals(services[0].counters.starts, before.services[0].counters.starts);
  await master.stop();
});

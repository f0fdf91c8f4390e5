import { assertEquals, assertStrictEquals } from "@std/assert";
import { History, MOST_POINTS, STEP_MS } from "../../src/metrics/history.ts";
import { masterStatus, processStatus, serviceStatus } from "./statuses.ts";

/** A status with one service of these processes. */
function statusOf(accepted: number | null, ...processes: Parameters<typeof processStatus>[]) {
  const service = serviceStatus("a.cf", {
    processes: processes.map((one) => processStatus(...one)),
  });
  return masterStatus([{ ...service, counters: { ...service.counters, accepted } }]);
}

const at = (nowMs: number) => ({ nowMs, atMs: 1_000_000 + nowMs });

Deno.test("History computes rates from one point to the next", () => {
  const history = new History();
  const first = history.add(statusOf(100, [1, { cpuMs: 1_000 }]), at(0));
  assertEquals(first?.services["a.cf"], {
    connections: 3,
    accepts: null,
    cpu: null,
    memoryBytes: 50 << 20,
  });
  const next = history.add(statusOf(150, [1, { cpuMs: 3_500 }], [2, { cpuMs: 500 }]), at(STEP_MS));
  assertEquals(next, {
    atMs: 1_000_000 + STEP_MS,
    services: {
      "a.cf": { connections: 6, accepts: 10, cpu: 0.6, memoryBytes: 100 << 20 },
    },
  });
});

Deno.test("History takes no point from a status that comes sooner, and no rate below 0", () => {
  const history = new History();
  history.add(statusOf(100, [1, { cpuMs: 1_000 }]), at(0));
  assertStrictEquals(history.add(statusOf(120, [1]), at(1_000)), undefined);
  assertEquals(history.points.length, 1);
  // A process number that another process has now, and a master without the counters of the old one.
  const point = history.add(statusOf(20, [1, { cpuMs: 10 }]), at(STEP_MS));
  assertEquals(point?.services["a.cf"].accepts, 0);
  assertEquals(point?.services["a.cf"].cpu, 0);
});

Deno.test("History does not lose the processor time of a process that has ended, nor what is unknown", () => {
  const history = new History();
  history.add(statusOf(null, [1, { cpuMs: 9_000 }], [2, { cpuMs: null }]), at(0));
  const point = history.add(statusOf(null, [3, { cpuMs: 250, connections: null }]), at(STEP_MS));
  assertEquals(point?.services["a.cf"], {
    connections: null,
    accepts: null,
    cpu: 0.05,
    memoryBytes: 50 << 20,
  });
});

Deno.test("History keeps ten minutes, and forgets services with their points", () => {
  const history = new History();
  history.add(statusOf(1, [1]), at(0));
  for (let step = 1; step <= MOST_POINTS; step++) history.add(masterStatus([]), at(step * STEP_MS));
  assertEquals(history.points.length, MOST_POINTS);
  assertEquals(history.points.some(({ services }) => "a.cf" in services), false);
  assertEquals(history.points.at(-1)?.atMs, 1_000_000 + MOST_POINTS * STEP_MS);
});

Deno.test("History keeps services of any name apart from the properties of objects", () => {
  const history = new History();
  const point = history.add(masterStatus([serviceStatus("__proto__"), serviceStatus("a")]), at(0));
  assertEquals(Object.keys(point?.services ?? {}), ["__proto__", "a"]);
});

Deno.test("History forgets the points that are later than now, once the time of day was set back", () => {
  const history = new History(), hourMs = 3_600_000;
  for (const step of [0, 1, 2]) history.add(statusOf(1, [1]), at(step * STEP_MS));
  const atMs = 1_000_000 + STEP_MS;
  history.add(statusOf(1, [1]), { nowMs: 3 * STEP_MS, atMs });
  assertEquals(history.points.map((point) => point.atMs), [1_000_000, atMs]);
  history.add(statusOf(1, [1]), { nowMs: 4 * STEP_MS, atMs: atMs - hourMs });
  assertEquals(history.points.map((point) => point.atMs), [atMs - hourMs]);
});

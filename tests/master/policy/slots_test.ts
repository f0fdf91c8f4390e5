import { assertEquals } from "@std/assert";
import { leastMissed, nextSlot, slotsOf } from "../../../src/master/policy/slots.ts";
import type { WorkerState } from "../../../src/master/policy/states.ts";
import type { Worker } from "../../../src/master/policy/life.ts";
import { serviceOf } from "../service_configs.ts";
import { lifeIn, workerOf } from "./workers.ts";

const GENERATION = 7;
const config = serviceOf("x", { procCount: 3 });

function worker(slot: number, state: WorkerState = "ready", generation = GENERATION): Worker {
  return workerOf(state, { id: slot, generation, config, slot });
}

for (
  const [what, workers, slot] of [
    ["the first of an empty service", [], 0],
    ["the lowest free one", [worker(0), worker(2, "starting")], 1],
    ["that of a draining process", [worker(0), worker(1, "draining"), worker(2)], 1],
    ["that of a detached process", [worker(0, "detached"), worker(1), worker(2)], 0],
    ["that of an old process", [worker(0, "ready", 6), worker(1, "ready", 6)], 0],
    ["the one with the fewest processes", [worker(0), worker(1), worker(2), worker(0)], 1],
  ] satisfies [string, Worker[], number][]
) {
  Deno.test(`nextSlot() is ${what}`, () => {
    const service = { workers: new Set(workers), unservedSlots: new Set<number>() };
    assertEquals(nextSlot(service, { config, generation: GENERATION }), slot);
  });
}

const recycled = (slot: number): Worker => ({
  ...worker(slot),
  life: lifeIn("ready", { recycleReason: "age" }),
});

for (
  const [what, workers, unservedSlots, slot] of [
    ["that of an ended process before a free one", [worker(0)], [2], 2],
    ["the longest unserved one", [worker(0)], [2, 1], 2],
    ["not an unserved one that another process has", [worker(0), worker(1)], [1], 2],
    ["that of a process to be recycled", [worker(0), recycled(1), worker(2)], [], 1],
    ["an unserved one before that of a process to be recycled", [worker(0), recycled(1)], [2], 2],
    [
      "that of a process to be recycled without a replacement",
      [recycled(0), recycled(1), worker(0), worker(2)],
      [],
      1,
    ],
  ] satisfies [string, Worker[], number[], number][]
) {
  Deno.test(`nextSlot() is ${what}`, () => {
    const service = { workers: new Set(workers), unservedSlots: new Set(unservedSlots) };
    assertEquals(nextSlot(service, { config, generation: GENERATION }), slot);
  });
}

Deno.test("leastMissed() is a process whose slot another ready process serves", () => {
  const [first, second, third] = [recycled(0), recycled(1), worker(1)];
  assertEquals(leastMissed([first, second], [first, second, third]), second);
  assertEquals(leastMissed([first, second], [first, second, worker(1, "starting")]), first);
  assertEquals(leastMissed([], [first]), undefined);
});

Deno.test("slotsOf() is one for each process at a TCP address, and at least one", () => {
  const settings = { "server-balance": "reuseport" }, addresses = "0:80 local:/run/s fifo:/run/f";
  const slots = (procCount: number, balance = settings) => {
    const service = serviceOf("x", { addresses, procCount, settings: balance });
    return service.endpoints.map((endpoint) => slotsOf(service, endpoint));
  };
  assertEquals(slots(4), [4, undefined, undefined]);
  assertEquals(slots(0), [1, undefined, undefined]);
  assertEquals(slots(4, { "server-balance": "shared" }), [undefined, undefined, undefined]);
});

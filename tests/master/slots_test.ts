import { assertEquals } from "@std/assert";
import { nextSlot, slotsOf } from "../../src/master/slots.ts";
import type { WorkerState } from "../../src/master/states.ts";
import type { Worker } from "../../src/master/tables.ts";
import { serviceOf } from "./service_configs.ts";

const GENERATION = 7;
const config = serviceOf("x", { procCount: 3 });

function worker(slot: number, state: WorkerState = "ready", generation = GENERATION): Worker {
  return { id: slot, pid: 100, generation, config, slot, listeners: [], startedAtMs: 0, state };
}

for (
  const [what, workers, slot] of [
    ["the first of an empty service", [], 0],
    ["the lowest free one", [worker(0), worker(2, "starting")], 1],
    ["that of one that drains", [worker(0), worker(1, "draining"), worker(2)], 1],
    ["that of one that has detached", [worker(0, "detached"), worker(1), worker(2)], 0],
    ["that of an old process", [worker(0, "ready", 6), worker(1, "ready", 6)], 0],
    ["one that fewer have", [worker(0), worker(1), worker(2), worker(0)], 1],
  ] satisfies [string, Worker[], number][]
) {
  Deno.test(`nextSlot() is ${what}`, () => {
    assertEquals(nextSlot({ workers: new Set(workers) }, { config, generation: GENERATION }), slot);
  });
}

Deno.test("slotsOf() is one for each process at an address of TCP, and at least one", () => {
  const settings = { "server-balance": "reuseport" }, addresses = "0:80 local:/run/s fifo:/run/f";
  const slots = (procCount: number, balance = settings) => {
    const service = serviceOf("x", { addresses, procCount, settings: balance });
    return service.endpoints.map(({ endpoint }) => slotsOf(service, endpoint));
  };
  assertEquals(slots(4), [4, undefined, undefined]);
  assertEquals(slots(0), [1, undefined, undefined]);
  assertEquals(slots(4, { "server-balance": "shared" }), [undefined, undefined, undefined]);
});

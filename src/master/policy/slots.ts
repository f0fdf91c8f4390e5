/**
 * The slots of a service: as many as `server-proc-count` says. A process that takes the place of
 * another gets its slot, and with it the same sockets; where there are more processes, some share a
 * slot (docs/design/12_balance.md).
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { isServing, type Service, type Version, type Worker } from "./model.ts";

/**
 * How many sockets a service has for one of its addresses.
 *
 * @param service The service.
 * @param endpoint The address. Only TCP knows sockets with a queue each.
 * @returns The number, at least 1; undefined where all of its processes share one.
 */
export function slotsOf(
  { balance, procCount }: Pick<ServiceConfig, "balance" | "procCount">,
  { kind }: Endpoint,
): number | undefined {
  return balance === "reuseport" && kind === "inet" ? slotCount({ procCount }) : undefined;
}

/**
 * How many slots the processes of a service have.
 *
 * @param config The service.
 */
export function slotCount({ procCount }: Pick<ServiceConfig, "procCount">): number {
  return Math.max(1, procCount);
}

/** A slot, and what speaks for it. */
interface Candidate {
  readonly slot: number;
  /** How many processes have it that go on. */
  lasting: number;
  /** How many have it that are to be replaced. */
  recycleReason: number;
}

/**
 * The slot for the next process: one that the fewest processes of the version have. Of these the one
 * whose queue has been deserted for the longest time, so that a successor gets the slot of the process
 * that is gone; then one whose process is spent, which the next one is to replace; then the lowest.
 *
 * @param service The service.
 * @param version The version of the process.
 */
export function nextSlot(
  { workers, unservedSlots }: Pick<Service, "workers" | "unservedSlots">,
  { generation, config }: Version,
): number {
  const slots = Array.from(
    { length: slotCount(config) },
    (_, slot): Candidate => ({ slot, lasting: 0, recycleReason: 0 }),
  );
  for (const worker of workers) {
    if (worker.generation !== generation || !isServing(worker)) continue;
    slots[worker.slot][worker.recycleReason === undefined ? "lasting" : "recycleReason"]++;
  }
  const least = slots.reduce((so, { lasting }) => Math.min(so, lasting), Infinity);
  const candidates = slots.filter(({ lasting }) => lasting === least);
  const bySlot = new Map(candidates.map((one) => [one.slot, one]));
  const lonely = [...unservedSlots].find((slot) => bySlot.get(slot)?.recycleReason === 0);
  return lonely ??
    (candidates.find(({ recycleReason }) => recycleReason > 0) ?? candidates[0]).slot;
}

/**
 * Of processes that may go, the one that is missed the least: the first whose slot another one serves
 * that stays, or else the first.
 *
 * @param candidates Those that may go.
 * @param staff All processes of the version.
 * @returns It; undefined when there is none.
 */
export function leastMissed(
  candidates: readonly Worker[],
  staff: readonly Worker[],
): Worker | undefined {
  const lasting = staff.filter(({ state, recycleReason }) =>
    state === "ready" && recycleReason === undefined
  );
  const isCovered = (worker: Worker) =>
    lasting.some((other) => other !== worker && other.slot === worker.slot);
  return candidates.find(isCovered) ?? candidates[0];
}

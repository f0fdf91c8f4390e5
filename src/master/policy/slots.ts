/**
 * The slots of a service: `server-proc-count` of them, each with its own sockets. A replacement
 * gets the slot of the process that it replaces; surplus processes share slots
 * (docs/design/12_balance.md).
 *
 * @module
 */
import type { Endpoint } from "../../config/address.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { isReady, isServing, type Worker } from "./life.ts";
import type { Service, Version } from "./model.ts";

/**
 * How many sockets a service has for one of its addresses; undefined where its processes share one.
 * Only TCP has sockets with separate queues.
 */
export function slotsOf(
  { balance, procCount }: Pick<ServiceConfig, "balance" | "procCount">,
  { kind }: Endpoint,
): number | undefined {
  return balance === "reuseport" && kind === "inet" ? slotCount({ procCount }) : undefined;
}

/** How many slots the processes of a service have. */
export function slotCount({ procCount }: Pick<ServiceConfig, "procCount">): number {
  return Math.max(1, procCount);
}

/** A slot, and how many processes use it. */
interface SlotUse {
  readonly slot: number;
  /** How many processes stay in it. */
  lasting: number;
  /** How many of its processes are to be recycled. */
  recycling: number;
}

/**
 * The slot for the next process: one with the fewest processes of the version that stay. Among
 * these the longest unserved slot comes first, so that a replacement gets the slot of the ended
 * process; then a slot whose process is to be recycled; then the lowest.
 */
export function nextSlot(
  { workers, unservedSlots }: Pick<Service, "workers" | "unservedSlots">,
  { generation, config }: Version,
): number {
  const slots = Array.from(
    { length: slotCount(config) },
    (_, slot): SlotUse => ({ slot, lasting: 0, recycling: 0 }),
  );
  for (const worker of workers) {
    if (worker.generation !== generation || !isServing(worker)) continue;
    slots[worker.slot][worker.life.recycleReason === undefined ? "lasting" : "recycling"]++;
  }
  const least = slots.reduce((so, { lasting }) => Math.min(so, lasting), Infinity);
  const candidates = slots.filter(({ lasting }) => lasting === least);
  const bySlot = new Map(candidates.map((one) => [one.slot, one]));
  const unserved = [...unservedSlots].find((slot) => bySlot.get(slot)?.recycling === 0);
  return unserved ??
    (candidates.find(({ recycling }) => recycling > 0) ?? candidates[0]).slot;
}

/**
 * Chooses the process to stop: the first one whose slot has another ready process, or else the
 * first.
 *
 * @param candidates The processes to choose from.
 * @param staff All processes of the version.
 * @returns The process; undefined when there is none.
 */
export function leastMissed(
  candidates: readonly Worker[],
  staff: readonly Worker[],
): Worker | undefined {
  const lasting = staff.filter(isReady).filter(({ life }) => life.recycleReason === undefined);
  const isCovered = (worker: Worker) =>
    lasting.some((other) => other !== worker && other.slot === worker.slot);
  return candidates.find(isCovered) ?? candidates[0];
}

/**
 * Recycling: a healthy process is replaced when it is old, has reached its number of connections,
 * or uses too much memory. Pure.
 *
 * docs/design/07_supervision.md has the reasons.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import { leastMissed } from "./slots.ts";
import { isReady, isServing, type MemoryWatch, type ReadyLimits, type Worker } from "./life.ts";

/** The time between two measurements of a process's memory. */
export const MEASURE_MS = 2_000;

/** How long a process may exceed its memory limit, so that a spike does not count. */
export const HEAVY_MS = 10_000;

/** The random share of a limit: processes that started together must not be recycled together. */
const JITTER = 1 / 10;

/** How many connections a new process may accept; undefined without a limit. */
export function connectionLimit(
  { supervision: { maxConnections } }: ServiceConfig,
  random: number,
): number | undefined {
  return maxConnections && Math.max(1, Math.round(maxConnections * (1 - JITTER * random)));
}

/** When the age and the memory of a process that is ready now are checked. */
export function readyLimits(
  { startedAtMs, config: { supervision: { maxAgeMs, maxMemoryBytes } } }: Worker,
  { nowMs, random }: { readonly nowMs: number; readonly random: number },
): ReadyLimits {
  const isMeasured = maxMemoryBytes > 0 && maxMemoryBytes < Infinity;
  return {
    oldAtMs: maxAgeMs > 0 ? startedAtMs + maxAgeMs * (1 - JITTER * random) : Infinity,
    ...(isMeasured && { memory: { measureAtMs: nowMs } }),
  };
}

/** The measurements of a process after another one. */
export function afterMeasurement(
  { exceededSinceMs = Infinity }: MemoryWatch,
  { nowMs, isTooMuch }: { readonly nowMs: number; readonly isTooMuch: boolean },
): MemoryWatch {
  return {
    measureAtMs: nowMs + MEASURE_MS,
    ...(isTooMuch && { exceededSinceMs: Math.min(exceededSinceMs, nowMs) }),
  };
}

/** Whether a process has used too much memory for too long. */
export function isHeavy({ exceededSinceMs = Infinity }: MemoryWatch, nowMs: number): boolean {
  return nowMs - exceededSinceMs >= HEAVY_MS;
}

/** The processes of the current version, and how many are wanted. */
export interface VersionWorkers {
  readonly currentWorkers: readonly Worker[];
  /** How many processes of the version drain. */
  readonly leaving: number;
  readonly wanted: number;
}

/**
 * How many processes may exist while some are to be recycled: one more, until it is ready and
 * replaces the first. The next replacement waits until then, and while as many processes drain as
 * are wanted.
 */
export function strengthWhileReplacing(
  { currentWorkers, leaving, wanted }: VersionWorkers,
): number {
  if (!currentWorkers.some(isToBeRecycled)) return wanted;
  const hasBegun = currentWorkers.length > wanted;
  return hasBegun || leaving < Math.max(1, wanted) ? wanted + 1 : wanted;
}

/** The process whose replacement is ready, if there is one. */
export function replacedOne(
  { currentWorkers, wanted }: Pick<VersionWorkers, "currentWorkers" | "wanted">,
): Worker | undefined {
  const ready = currentWorkers.filter(isReady);
  return ready.length > wanted ? leastMissed(ready.filter(isToBeRecycled), ready) : undefined;
}

function isToBeRecycled(worker: Worker): boolean {
  return isServing(worker) && worker.life.recycleReason !== undefined;
}

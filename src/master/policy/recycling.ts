/**
 * When a process is to be replaced that serves well: it is old, has had its connections, or uses too
 * much memory. Pure.
 *
 * docs/design/07_supervision.md has the reasons.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import { leastMissed } from "./slots.ts";
import { isServing, type Worker } from "./model.ts";

/** How long it is from one look at the memory of a process to the next. */
export const MEASURE_MS = 2_000;

/** How long a process may use too much memory: a spike is no reason. */
export const HEAVY_MS = 10_000;

/** So much of a limit is left to chance: what was started together is not to be spent together. */
const JITTER = 1 / 10;

/**
 * How many connections a new process may accept.
 *
 * @param config The service's settings.
 * @param random Chance, from 0 up to 1.
 * @returns The number, or undefined where there is no limit.
 */
export function connectionLimit(
  { supervision: { maxConnections } }: ServiceConfig,
  random: number,
): number | undefined {
  return maxConnections && Math.max(1, Math.round(maxConnections * (1 - JITTER * random)));
}

/**
 * Begins to count the days of a process that has just become ready.
 *
 * @param worker The process.
 * @param chance The time, and chance from 0 up to 1.
 */
export function beginLife(
  worker: Worker,
  { nowMs, random }: { readonly nowMs: number; readonly random: number },
): void {
  const { maxAgeMs, maxMemoryBytes } = worker.config.supervision;
  if (maxAgeMs > 0) worker.oldAtMs = worker.startedAtMs + maxAgeMs * (1 - JITTER * random);
  if (maxMemoryBytes > 0 && maxMemoryBytes < Infinity) worker.measureAtMs = nowMs;
}

/**
 * Takes note of how much memory a process uses.
 *
 * @param worker The process.
 * @param measured The time and the memory.
 * @returns Whether it has been too much for too long.
 */
export function weigh(
  worker: Worker,
  { nowMs, bytes }: { readonly nowMs: number; readonly bytes: number },
): boolean {
  worker.measureAtMs = nowMs + MEASURE_MS;
  if (bytes <= worker.config.supervision.maxMemoryBytes) worker.overMemorySinceMs = undefined;
  else worker.overMemorySinceMs ??= nowMs;
  return worker.overMemorySinceMs !== undefined && nowMs - worker.overMemorySinceMs >= HEAVY_MS;
}

/** The processes of the version in force, and how many there are to be. */
export interface Staff {
  readonly currentWorkers: readonly Worker[];
  /** Those of them that finish what they have. */
  readonly leaving: number;
  readonly wanted: number;
}

/**
 * How many processes there are to be while some are spent: one more, until it is ready and takes the
 * place of the first. The next one has to wait until then; and while as many finish their work as
 * there are places.
 *
 * @param staff The processes.
 */
export function strengthWhileReplacing({ currentWorkers, leaving, wanted }: Staff): number {
  if (!currentWorkers.some(isSpent)) return wanted;
  const hasBegun = currentWorkers.length > wanted;
  return hasBegun || leaving < Math.max(1, wanted) ? wanted + 1 : wanted;
}

/**
 * The process whose successor is ready.
 *
 * @param staff The processes.
 * @returns It, or undefined.
 */
export function replacedOne(
  { currentWorkers, wanted }: Pick<Staff, "currentWorkers" | "wanted">,
): Worker | undefined {
  const ready = currentWorkers.filter(({ state }) => state === "ready");
  return ready.length > wanted ? leastMissed(ready.filter(isSpent), ready) : undefined;
}

function isSpent(worker: Worker): boolean {
  return worker.recycleReason !== undefined && isServing(worker);
}

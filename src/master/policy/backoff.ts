/**
 * The pace at which processes are started that don't live long: what the end of one means for the
 * next one in its place. Pure.
 *
 * docs/design/07_supervision.md has the reasons.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import { EARLY_DEATH_MS } from "./decide.ts";
import type { RestartHistory, Worker } from "./model.ts";

/** What a program ends with that finds its settings wrong (sysexits.h). */
export const EX_CONFIG = 78;

/** So much of a delay is left to chance: what has ended together is not to start together. */
const JITTER = 1 / 4;

/**
 * A process that ends in order is not held for one that can't serve if it has been ready for so long:
 * with less it has hardly begun, unless it says that it has worked.
 */
export const ORDERLY_MS = 500;

/** A place in which nothing has happened yet. */
export const NO_HISTORY: RestartHistory = { early: 0, delayMs: 0, startAtMs: 0, starts: [] };

/** What the next start depends on, beside the process. */
export interface Chance {
  readonly nowMs: number;
  /** From 0 up to 1. */
  readonly random: number;
}

/**
 * The place of a worker that has ended, or gives its place up otherwise.
 *
 * @param worker The worker.
 * @param chance The time, and chance; `inOrder`: whether it has ended as a program does that has done
 * its work.
 */
export function historyAfter(
  worker: Worker,
  { inOrder = false, ...chance }: Chance & { readonly inOrder?: boolean },
): RestartHistory {
  const { history, config, startedAtMs, readyAtMs, worked = false } = worker;
  const livedMs = chance.nowMs - startedAtMs;
  if (readyAtMs !== undefined) {
    const isDone = inOrder && (worked || chance.nowMs - readyAtMs >= ORDERLY_MS);
    const starts = isDone ? startsWithout(worker) : history.starts;
    if (isDone || livedMs >= config.supervision.healthyAfterMs) {
      return { early: 0, delayMs: 0, startAtMs: chance.nowMs, starts };
    }
  }
  const atOnce = readyAtMs !== undefined && livedMs >= EARLY_DEATH_MS;
  return heldBack(history, {
    ...chance,
    config,
    startedAtMs,
    firstMs: atOnce ? 0 : EARLY_DEATH_MS,
  });
}

/**
 * The place of a standby that was enlisted and has ended before it was ready, as if it had never had it:
 * its end was that of a standby, which nobody had heard of yet.
 *
 * @param worker The worker.
 */
export function historyGivenBack(worker: Worker): RestartHistory {
  return { ...worker.history, starts: startsWithout(worker) };
}

/** The starts in the place of a worker that count for `server-start-limit`, but for its own, the last. */
function startsWithout({ history: { starts } }: Worker): readonly number[] {
  return starts.slice(0, -1);
}

/**
 * A place in which a process could not even be started.
 *
 * @param history The place.
 * @param chance The service's settings, the time, and chance.
 */
export function historyAfterRefusal(
  history: RestartHistory,
  chance: Chance & { readonly config: ServiceConfig },
): RestartHistory {
  return heldBack(history, { ...chance, startedAtMs: chance.nowMs, firstMs: EARLY_DEATH_MS });
}

/**
 * The first time it is LIB-ZC's rule, from the end of the process. From then on it is a time from
 * start to start, so that one that has served for longer is replaced at once.
 */
function heldBack(
  { early, delayMs, starts }: RestartHistory,
  { config, nowMs, random, startedAtMs, firstMs }: Chance & {
    readonly config: ServiceConfig;
    readonly startedAtMs: number;
    readonly firstMs: number;
  },
): RestartHistory {
  if (early === 0) return { early: 1, delayMs: firstMs, startAtMs: nowMs + firstMs, starts };
  const nextMs = Math.min(Math.max(2 * delayMs, EARLY_DEATH_MS), config.supervision.backoffMaxMs);
  const startAtMs = startedAtMs + nextMs * (1 - JITTER * random);
  return { early: early + 1, delayMs: nextMs, startAtMs: Math.max(nowMs, startAtMs), starts };
}

/**
 * Takes note of a start.
 *
 * @param history The place.
 * @param start The service's settings and the time.
 */
export function placeAtStart(
  history: RestartHistory,
  { config: { supervision: { startLimit } }, nowMs }: {
    readonly config: ServiceConfig;
    readonly nowMs: number;
  },
): RestartHistory {
  if (startLimit === undefined) return history;
  const starts = history.starts.filter((atMs) => atMs > nowMs - startLimit.withinMs);
  return { ...history, starts: [...starts, nowMs] };
}

/**
 * Whether the next start in a place would be one too many.
 *
 * @param history The place.
 * @param config The service's settings.
 */
export function isBeyondLimit(
  { starts, startAtMs }: RestartHistory,
  { supervision: { startLimit } }: ServiceConfig,
): boolean {
  if (startLimit === undefined) return false;
  const { count, withinMs } = startLimit;
  return starts.filter((atMs) => atMs > startAtMs - withinMs).length >= count;
}

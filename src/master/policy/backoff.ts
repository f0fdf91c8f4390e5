/**
 * The restart back-off: how the end of a process delays the start of the next one. Pure.
 *
 * docs/design/07_supervision.md has the reasons.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import { endsEarly } from "./decide.ts";
import { EARLY_DEATH_MS } from "./timeouts.ts";
import type { RestartHistory, Worker, WorkerIn } from "./life.ts";

/** The random share of a delay: processes that ended together must not start together. */
const JITTER = 1 / 4;

/**
 * A process that was ready for this long and then exits in order counts as healthy. A shorter life
 * counts as a failure, unless the process has reported that a client used it.
 */
export const ORDERLY_MS = 500;

/** The restart history of a slot in which no process has run yet. */
export const NO_HISTORY: RestartHistory = { early: 0, delayMs: 0, startAtMs: 0, starts: [] };

/** The time and a random number. */
export interface Chance {
  readonly nowMs: number;
  /** From 0 up to 1. */
  readonly random: number;
}

/** One run of a process in a slot, or among the standbys, which is over. */
export interface Run extends Pick<Worker, "config" | "startedAtMs" | "history"> {
  /** When it was ready, or had loaded as a standby; undefined if that never happened. */
  readonly readyAtMs?: number;
  /** Whether a client has used it. */
  readonly worked: boolean;
}

/** The run of a serving worker that leaves its slot. */
export function runOf(worker: WorkerIn<"starting" | "ready">): Run {
  const { config, startedAtMs, history, life } = worker;
  const readyAtMs = life.state === "ready" ? life.readyAtMs : undefined;
  return { config, startedAtMs, history, readyAtMs, worked: life.worked };
}

/**
 * The restart history after a run.
 *
 * @param run The run.
 * @param chance The time and a random number; `inOrder`: whether the process exited with success.
 */
export function historyAfter(
  run: Run,
  { inOrder = false, ...chance }: Chance & { readonly inOrder?: boolean },
): RestartHistory {
  const { history, config, startedAtMs, readyAtMs, worked } = run;
  const livedMs = chance.nowMs - startedAtMs;
  if (readyAtMs !== undefined) {
    const isDone = inOrder && (worked || chance.nowMs - readyAtMs >= ORDERLY_MS);
    const starts = isDone ? startsWithout(run) : history.starts;
    if (isDone || livedMs >= config.supervision.healthyAfterMs) {
      return { early: 0, delayMs: 0, startAtMs: chance.nowMs, starts };
    }
  }
  const atOnce = readyAtMs !== undefined && !endsEarly(run, chance.nowMs);
  return heldBack(history, {
    ...chance,
    config,
    startedAtMs,
    firstMs: atOnce ? 0 : EARLY_DEATH_MS,
  });
}

/**
 * The restart history after an activated standby has ended before it was ready: the history as it
 * was before the activation, because the failure counts as that of a standby.
 */
export function historyGivenBack(worker: Worker): RestartHistory {
  return { ...worker.history, starts: startsWithout(worker) };
}

/**
 * The starts that count for `server-start-limit`, without the last one, which is the worker's own.
 */
function startsWithout({ history: { starts } }: Pick<Worker, "history">): readonly number[] {
  return starts.slice(0, -1);
}

/** The restart history after a process could not be started. */
export function historyAfterRefusal(
  history: RestartHistory,
  chance: Chance & { readonly config: ServiceConfig },
): RestartHistory {
  return heldBack(history, { ...chance, startedAtMs: chance.nowMs, firstMs: EARLY_DEATH_MS });
}

/**
 * The first delay counts from the end of the process (as in LIB-ZC). Later delays count from start
 * to start, so that a process that has served for longer than the delay is replaced at once.
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

/** Adds a start to a restart history. */
export function historyAtStart(
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

/** Whether the next start would exceed `server-start-limit`. */
export function isBeyondLimit(
  { starts, startAtMs }: RestartHistory,
  { supervision: { startLimit } }: ServiceConfig,
): boolean {
  if (startLimit === undefined) return false;
  const { count, withinMs } = startLimit;
  return starts.filter((atMs) => atMs > startAtMs - withinMs).length >= count;
}

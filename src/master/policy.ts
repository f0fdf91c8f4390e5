/**
 * What is to be done for a service, given what is known of it: pure functions from the tables and
 * the time to actions.
 *
 * They compare what is with what should be, so that the answer does not depend on how many events
 * came before or in which order.
 *
 * @module
 */
import { isServing, type Service, type Worker } from "./tables.ts";

/** A worker that lived less than this delays its service's next start by as much (LIB-ZC). */
export const EARLY_DEATH_MS = 100;

/** From SIGTERM to SIGKILL. */
export const TERMINATE_GRACE_MS = 2_000;

/** How long past its own word a draining worker is let be. */
export const DRAIN_GRACE_MS = 5_000;

/** From the end of a control socket to SIGTERM for a process that has not ended along with it. */
export const LOST_GRACE_MS = 1_000;

/** Something to be done. */
export type Action =
  | { readonly do: "start"; readonly count: number }
  | { readonly do: "softstop" | "terminate" | "kill"; readonly worker: Worker };

/** What to do now, and when to look again if nothing happens before. */
export interface Decision {
  readonly actions: readonly Action[];
  /** On the monotonic clock; undefined when only an event can change anything. */
  readonly wakeAtMs?: number;
}

/**
 * Decides for one service.
 *
 * @param service What is known of it.
 * @param nowMs The time.
 * @returns What to do.
 */
export function decide(service: Service, nowMs: number): Decision {
  const actions: Action[] = [];
  let wakeAtMs: number | undefined;
  const due = (atMs: number): boolean => {
    if (atMs <= nowMs) return true;
    wakeAtMs = Math.min(wakeAtMs ?? Infinity, atMs);
    return false;
  };
  const outdated: Worker[] = [];
  let serving = 0, ready = 0;
  for (const worker of service.workers) {
    if (worker.deadlineMs !== undefined && due(worker.deadlineMs)) {
      actions.push({ do: worker.state === "stopping" ? "kill" : "terminate", worker });
    } else if (service.retired || worker.generation !== service.generation) {
      if (isServing(worker)) outdated.push(worker);
    } else if (isServing(worker)) {
      serving++;
      if (worker.state === "ready") ready++;
    }
  }
  const wanted = service.retired ? 0 : service.config.procCount;
  if (serving < wanted && due(service.startAtMs)) {
    actions.push({ do: "start", count: wanted - serving });
  }
  // The old ones go when all of the new ones serve, so that nobody ever waits. Those that don't
  // serve yet go as soon as another old one does: with many reloads there would be ever more.
  const oldServe = outdated.some(({ state }) => state === "ready");
  for (const worker of outdated) {
    if (ready >= wanted || (oldServe && worker.state === "starting")) {
      actions.push({ do: "softstop", worker });
    }
  }
  return { actions, wakeAtMs };
}

/**
 * When a service may start again after one of its workers has ended.
 *
 * @param worker The worker that has ended.
 * @param nowMs The time.
 * @returns The earliest time of the next start.
 */
export function nextStartMs(worker: Worker, nowMs: number): number {
  return nowMs - worker.startedAtMs < EARLY_DEATH_MS ? nowMs + EARLY_DEATH_MS : nowMs;
}

/**
 * The muster of a service: which of its workers can be reckoned with, and as what; and what is to be
 * done about those whose time is over. Pure.
 *
 * @module
 */
import type { Action, WakeTime } from "./decision.ts";
import { startLimitMs } from "./readiness.ts";
import { standbysWanted } from "./standby.ts";
import { isServing, isStandby, type Service, type Version, type Worker } from "./model.ts";
import { isWatched } from "./watchdog.ts";

/** The workers of a service by what they are to it, those left out whose time is over. */
export interface WorkerClasses {
  /** Those of the version in force that fill a place. */
  readonly currentWorkers: Worker[];
  /** Those of the version on trial that do. */
  readonly candidateWorkers: Worker[];
  /** Those of another version that may fill a place until one of the version in force is ready. */
  readonly fallbacks: Worker[];
  /** The standbys of the version in force that can be reckoned with. */
  readonly standbys: Worker[];
  /** Those that finish what they have, of any version; a standby has nothing. */
  readonly draining: Worker[];
  /** What their deadlines and limits ask for, and what is of no version any more. */
  readonly actions: Action[];
}

/**
 * Sorts the workers of a service.
 *
 * @param service The service.
 * @param wakeTime The time; takes note of each deadline.
 */
export function classify(service: Service, wakeTime: WakeTime): WorkerClasses {
  const { current, candidate } = service;
  const sorted: WorkerClasses = {
    currentWorkers: [],
    candidateWorkers: [],
    fallbacks: [],
    standbys: [],
    draining: [],
    actions: [],
  };
  const keepsStandbys = standbysWanted(service) > 0;
  for (const worker of service.workers) {
    const last = lastSteps(worker, wakeTime);
    sorted.actions.push(...last.actions);
    if (last.isLost) continue;
    sorted.actions.push(...limitsReached(worker, wakeTime));
    const { state, generation } = worker;
    if (state === "draining") {
      if (!worker.neverServed) sorted.draining.push(worker);
    } else if (isStandby(worker) && keepsStandbys && generation === current?.generation) {
      // One that is doubted just now may hang.
      if (last.actions.length === 0) sorted.standbys.push(worker);
    } else if (isStandby(worker)) sorted.actions.push({ do: "softstop", worker });
    else if (!isServing(worker)) continue;
    else if (generation === current?.generation) sorted.currentWorkers.push(worker);
    else if (generation === candidate?.generation) sorted.candidateWorkers.push(worker);
    else if (mayFallBack(worker, current)) sorted.fallbacks.push(worker);
    // A later version is in force, its own trial has failed, or the service is gone.
    else sorted.actions.push({ do: "softstop", worker });
  }
  return sorted;
}

/** What is to be done about a worker whose deadline is over, or that is silent; is it lost by that? */
function lastSteps(
  worker: Worker,
  wakeTime: WakeTime,
): { readonly actions: readonly Action[]; readonly isLost: boolean } {
  const { state, silentUntilMs } = worker;
  const deadlineMs = Math.min(worker.deadlineMs ?? Infinity, startLimitMs(worker));
  const isSilent = silentUntilMs !== undefined && isWatched(worker) &&
    wakeTime.isDue(silentUntilMs);
  if (deadlineMs < Infinity && wakeTime.isDue(deadlineMs)) {
    const what = state === "stopping" ? "kill" : "terminate";
    return { actions: [{ do: what, worker }], isLost: true };
  }
  if (!isSilent) return { actions: [], isLost: false };
  const hangs = worker.suspected === true;
  return { actions: [{ do: hangs ? "abort" : "suspect", worker }], isLost: hangs };
}

/** What the limits of a worker that serves ask for: it may be old, or use too much memory. */
function limitsReached(worker: Worker, wakeTime: WakeTime): Action[] {
  const { state, recycleReason, oldAtMs, measureAtMs } = worker;
  if (state !== "ready" || recycleReason !== undefined) return [];
  const actions: Action[] = [];
  if (oldAtMs !== undefined && wakeTime.isDue(oldAtMs)) actions.push({ do: "recycle", worker });
  if (measureAtMs !== undefined && wakeTime.isDue(measureAtMs)) {
    actions.push({ do: "measure", worker });
  }
  return actions;
}

/**
 * Whether a worker of another version may fill a place until one of the version in force is ready:
 * an old one whose successor has ended again, or one of a failed trial with `server-reload-step`, for
 * which one of the version in force was stopped.
 */
function mayFallBack(worker: Worker, current: Version | undefined): boolean {
  return current !== undefined && worker.state === "ready" &&
    (worker.generation < current.generation || worker.config.reloadStep !== undefined);
}

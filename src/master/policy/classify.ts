/**
 * Sorts the workers of a service by their role, and lists the actions that their deadlines require.
 * Pure.
 *
 * @module
 */
import type { Action, WakeTime } from "./decision.ts";
import { isReady, isServing, isStandby, type Worker } from "./life.ts";
import { startLimitMs } from "./readiness.ts";
import { standbysWanted } from "./standby.ts";
import type { Service, Version } from "./model.ts";
import { actionOnSilence } from "./watchdog.ts";

/** The workers of a service by role, without lost ones. */
export interface WorkerClasses {
  /** The serving workers of the current version. */
  readonly currentWorkers: Worker[];
  /** The serving workers of the candidate. */
  readonly candidateWorkers: Worker[];
  /**
   * Workers of another version that may serve until enough workers of the current version are
   * ready.
   */
  readonly fallbacks: Worker[];
  /** The usable standbys of the current version. */
  readonly standbys: Worker[];
  /** The draining workers of all versions, without standbys, which have no clients. */
  readonly draining: Worker[];
  /** What deadlines and limits require, and the soft stop of workers whose version is gone. */
  readonly actions: Action[];
}

/**
 * Sorts the workers of a service.
 *
 * @param service The service.
 * @param wakeTime The time; records each deadline.
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
    const { life, generation } = worker;
    if (life.state === "draining") {
      if (!life.neverServed) sorted.draining.push(worker);
    } else if (isStandby(worker) && keepsStandbys && generation === current?.generation) {
      // A suspected standby may hang: it is not counted.
      if (last.actions.length === 0) sorted.standbys.push(worker);
    } else if (isStandby(worker)) sorted.actions.push({ do: "softstop", worker });
    else if (!isServing(worker)) continue;
    else if (generation === current?.generation) sorted.currentWorkers.push(worker);
    else if (generation === candidate?.generation) sorted.candidateWorkers.push(worker);
    else if (mayFallBack(worker, current)) sorted.fallbacks.push(worker);
    // Its version was replaced or rolled back, or the service was removed.
    else sorted.actions.push({ do: "softstop", worker });
  }
  return sorted;
}

/** The actions for a worker whose deadline has passed or that is silent, and whether it is lost. */
function lastSteps(
  worker: Worker,
  wakeTime: WakeTime,
): { readonly actions: readonly Action[]; readonly isLost: boolean } {
  const { life } = worker;
  const deadlineMs = Math.min(
    "deadlineMs" in life ? life.deadlineMs : Infinity,
    startLimitMs(life),
  );
  const onSilence = actionOnSilence(worker, wakeTime);
  if (deadlineMs < Infinity && wakeTime.isDue(deadlineMs)) {
    const what = life.state === "stopping" ? "kill" : "terminate";
    return { actions: [{ do: what, worker }], isLost: true };
  }
  if (onSilence === undefined) return { actions: [], isLost: false };
  return { actions: [onSilence], isLost: onSilence.do === "abort" };
}

/** The actions that the age and memory limits of a ready worker require. */
function limitsReached(worker: Worker, wakeTime: WakeTime): Action[] {
  if (!isReady(worker) || worker.life.recycleReason !== undefined) return [];
  const { oldAtMs, memory } = worker.life;
  const actions: Action[] = [];
  if (oldAtMs < Infinity && wakeTime.isDue(oldAtMs)) actions.push({ do: "recycle", worker });
  if (memory !== undefined && wakeTime.isDue(memory.measureAtMs)) {
    actions.push({ do: "measure", worker });
  }
  return actions;
}

/**
 * Whether a worker of another version may serve until one of the current version is ready: an old
 * worker whose replacement has ended, or a worker of an undone reload with `server-reload-step`,
 * which had replaced a worker of the current version.
 */
function mayFallBack(worker: Worker, current: Version | undefined): boolean {
  return current !== undefined && isReady(worker) &&
    (worker.generation < current.generation || worker.config.reloadStep !== undefined);
}

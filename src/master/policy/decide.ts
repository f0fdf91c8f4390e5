/**
 * Decides what to do for a service: pure functions from the model and the time to actions.
 *
 * They compare the actual state with the wanted one, so that the result does not depend on the
 * number or the order of events.
 *
 * @module
 */
import { type Action, type Decision, WakeTime } from "./decision.ts";
import { classify, type WorkerClasses } from "./classify.ts";
import { replacedOne, strengthWhileReplacing } from "./recycling.ts";
import { idleOne } from "./scaling.ts";
import { inReserve, lacksStandby } from "./standby.ts";
import {
  beyondBound,
  capacityOf,
  heldByUndone,
  leaversOf,
  mostLeavers,
  roomToReturn,
  surplus,
} from "./capacity.ts";
import { hasPassed, isReady, type RestartHistory, type Worker } from "./life.ts";
import type { Service } from "./model.ts";
import { EARLY_DEATH_MS } from "./timeouts.ts";
import { outcomeOfRollout, startsOfCandidate } from "./rollout_outcome.ts";

/** What a decision depends on beside the service. */
export interface Circumstances {
  readonly nowMs: number;
  /** How many old generations of a service may drain at the same time. */
  readonly maxGenerations: number;
}

/**
 * Decides what to do for one service.
 *
 * @param service The state of the service.
 * @param circumstances The time, and the limits of the master.
 */
export function decide(
  service: Service,
  { nowMs, maxGenerations }: Circumstances,
): Decision {
  const { candidate } = service;
  const wakeTime = new WakeTime(nowMs);
  const sorted = classify(service, wakeTime);
  const { currentWorkers, candidateWorkers, standbys, draining, actions } = sorted;
  for (const worker of beyondBound(draining, { service, maxGenerations })) {
    actions.push({ do: "terminate", worker });
  }
  const passed = candidateWorkers.filter((worker) => hasPassed(worker, nowMs)).length;
  const need = needOf(service, { ...sorted, passed });
  const missing = Math.max(0, need.most - currentWorkers.length);
  actions.push(...startsOf(service, { missing, standbys, wakeTime }));
  for (const worker of dispensable(service, { ...sorted, ...need })) {
    actions.push({ do: "softstop", worker });
  }
  if (candidate === undefined) {
    const idle = actions.length === 0 ? idleOne(service, currentWorkers) : undefined;
    if (idle !== undefined) actions.push({ do: "scaleDown", worker: idle });
    const { current } = service;
    const isCalm = actions.length === 0 && missing === 0 && mayStart(service);
    if (
      current !== undefined && isCalm &&
      lacksStandby(service, { currentWorkers, standbys, wakeTime })
    ) {
      actions.push({ do: "startStandby", version: current });
    }
    return { actions, wakeAtMs: wakeTime.wakeAtMs };
  }
  const progress = { candidate, candidateWorkers, passed, missing };
  const outcome = outcomeOfRollout(progress, { actions, wakeTime });
  actions.push(...startsOfCandidate(service, progress, { actions, wakeTime }));
  return { actions, wakeAtMs: wakeTime.wakeAtMs, outcome };
}

/** How many processes the current version is to have. */
interface Need {
  /** How many processes are to be ready. */
  readonly wanted: number;
  /** How many of these are not ready. */
  readonly unfilled: number;
  /**
   * How many processes may exist: one more during a replacement, fewer while fallback workers
   * serve.
   */
  readonly most: number;
}

function needOf(
  service: Service,
  { currentWorkers, fallbacks, draining, passed }: WorkerClasses & { readonly passed: number },
): Need {
  const { current, candidate } = service;
  const wanted = capacityOf(service, passed);
  const unfilled = Math.max(0, wanted - currentWorkers.filter(isReady).length);
  if (candidate !== undefined) {
    // A reload replaces all of these processes, so none of them is recycled meanwhile.
    const held = heldByUndone(candidate, { fallbacks, current, unfilled });
    return { wanted, unfilled, most: wanted - held };
  }
  const leaving = draining.filter(({ generation }) => generation === current?.generation).length;
  return { wanted, unfilled, most: strengthWhileReplacing({ currentWorkers, leaving, wanted }) };
}

/** The standbys to activate and the processes to start for the current version. */
function startsOf(
  service: Service,
  { missing, standbys, wakeTime }: {
    readonly missing: number;
    readonly standbys: readonly Worker[];
    readonly wakeTime: WakeTime;
  },
): Action[] {
  const { current, failure, startAtMs, vacancies } = service;
  const allowed = Math.min(missing, roomToReturn(service));
  if (current === undefined || allowed <= 0 || failure !== undefined) return [];
  const count = wakeTime.isDue(startAtMs) ? startable(allowed, vacancies, wakeTime) : 0;
  const activated = inReserve(standbys).slice(0, count);
  const left = mayStart(service) ? count - activated.length : 0;
  return [
    ...activated.map((worker): Action => ({ do: "activate", worker })),
    ...(left > 0 ? [{ do: "start", count: left, version: current } as const] : []),
  ];
}

/** Whether the limit of processes that have left of their own accord allows another start. */
function mayStart(service: Service): boolean {
  return leaversOf(service) < mostLeavers(service);
}

/**
 * How many of the missing processes may start now; the restart histories of some may delay them.
 */
function startable(
  missing: number,
  vacancies: readonly RestartHistory[],
  wakeTime: WakeTime,
): number {
  const free = vacancies.filter(({ startAtMs }) => wakeTime.isDue(startAtMs)).length;
  return Math.min(missing, free + Math.max(0, missing - vacancies.length));
}

/** The surplus workers, and the worker whose replacement is ready. */
function dispensable(
  { candidate }: Service,
  { currentWorkers, candidateWorkers, fallbacks, wanted, unfilled, most }: WorkerClasses & Need,
): ReadonlySet<Worker> {
  const replaced = candidate === undefined ? replacedOne({ currentWorkers, wanted }) : undefined;
  return new Set([
    ...surplus(fallbacks, { wanted: unfilled, beside: currentWorkers }),
    ...surplus(currentWorkers, { wanted: most, beside: candidateWorkers }),
    ...(replaced === undefined ? [] : [replaced]),
  ]);
}

/** Whether a process that ends now has lived too short to be replaced at once. */
export function endsEarly({ startedAtMs }: Pick<Worker, "startedAtMs">, nowMs: number): boolean {
  return nowMs - startedAtMs < EARLY_DEATH_MS;
}

/** The earliest time of the next start after a worker has ended. */
export function nextStartMs(worker: Worker, nowMs: number): number {
  return endsEarly(worker, nowMs) ? nowMs + EARLY_DEATH_MS : nowMs;
}

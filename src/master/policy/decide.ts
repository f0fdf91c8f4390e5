/**
 * What is to be done for a service, given what is known of it: pure functions from the tables and
 * the time to actions.
 *
 * They compare what is with what should be, so that the answer does not depend on how many events
 * came before or in which order.
 *
 * @module
 */
import { type Action, type Decision, type RolloutOutcome, WakeTime } from "./decision.ts";
import { classify, type WorkerClasses } from "./classify.ts";
import { replacedOne, strengthWhileReplacing } from "./recycling.ts";
import { idleOne } from "./scaling.ts";
import { inReserve, lacksStandby } from "./standby.ts";
import {
  beyondBound,
  detachedOf,
  heldByUndone,
  isReady,
  mostDetached,
  placesOf,
  roomToReturn,
  surplus,
} from "./capacity.ts";
import { hasPassed, type RestartHistory, type Service, type Worker } from "./model.ts";
import { outcomeOfCandidate, type Progress, startsOfCandidate } from "./outcome.ts";

/** A worker that lived less than this delays its service's next start by as much (LIB-ZC). */
export const EARLY_DEATH_MS = 100;

/** From SIGTERM to SIGKILL. */
export const TERMINATE_GRACE_MS = 2_000;

/** How long past its own word a draining worker is let be. */
export const DRAIN_GRACE_MS = 5_000;

/** How long a worker that serves may take to answer to a soft stop, its event loop being busy. */
export const SOFTSTOP_ANSWER_MS = 30_000;

/** The same for one that may hang: it was never ready, or one of its listeners was shut down. */
export const UNREADY_ANSWER_MS = 5_000;

/** From the end of a control socket to SIGTERM for a process that has not ended along with it. */
export const LOST_GRACE_MS = 1_000;

/** What a decision depends on beside the service. */
export interface Circumstances {
  readonly nowMs: number;
  /** How many old generations of a service may drain at the same time. */
  readonly maxGenerations: number;
}

/**
 * Decides for one service.
 *
 * @param service What is known of it.
 * @param circumstances The time, and the bounds of the master.
 * @returns What to do.
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
  const outcome = judge(service, {
    candidate,
    candidateWorkers,
    passed,
    missing,
    actions,
    wakeTime,
  });
  return { actions, wakeAtMs: wakeTime.wakeAtMs, outcome };
}

/** How many processes the version in force is to have. */
interface Need {
  /** How many are to serve. */
  readonly wanted: number;
  /** How many of these don't. */
  readonly unfilled: number;
  /** How many there may be: one more while one is replaced, fewer while others hold their places. */
  readonly most: number;
}

function needOf(
  service: Service,
  { currentWorkers, fallbacks, draining, passed }: WorkerClasses & { readonly passed: number },
): Need {
  const { current, candidate } = service;
  const wanted = placesOf(service, passed);
  const unfilled = Math.max(0, wanted - currentWorkers.filter(isReady).length);
  if (candidate !== undefined) {
    // A reload that is under way replaces all of them.
    const held = heldByUndone(candidate, { fallbacks, current, unfilled });
    return { wanted, unfilled, most: wanted - held };
  }
  const leaving = draining.filter(({ generation }) => generation === current?.generation).length;
  return { wanted, unfilled, most: strengthWhileReplacing({ currentWorkers, leaving, wanted }) };
}

/** Which processes of the version in force are to be enlisted, or else started. */
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

/** Whether another process may be started beside those that have detached. */
function mayStart(service: Service): boolean {
  return detachedOf(service) < mostDetached(service);
}

/** How many of the missing processes may be started now: some of their places may have to wait. */
function startable(
  missing: number,
  vacancies: readonly RestartHistory[],
  wakeTime: WakeTime,
): number {
  const free = vacancies.filter(({ startAtMs }) => wakeTime.isDue(startAtMs)).length;
  return Math.min(missing, free + Math.max(0, missing - vacancies.length));
}

/** Those that are too many, and the one whose successor is ready. */
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

/** How the trial stands; what it needs is added to what is to be done. */
function judge(
  service: Service,
  { actions, wakeTime, ...progress }: Progress & {
    readonly actions: Action[];
    readonly wakeTime: WakeTime;
  },
): RolloutOutcome {
  const { failure } = progress.candidate;
  if (failure !== undefined) return { is: "failed", reason: failure };
  // One that is out of reach may be just what fails the trial.
  if (actions.some(({ do: what }) => what === "terminate" || what === "abort")) {
    return { is: "open" };
  }
  actions.push(...startsOfCandidate(service, { ...progress, wakeTime }));
  return outcomeOfCandidate(progress, wakeTime);
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

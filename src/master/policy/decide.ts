/**
 * What is to be done for a service, given what is known of it: pure functions from the tables and
 * the time to actions.
 *
 * They compare what is with what should be, so that the answer does not depend on how many events
 * came before or in which order.
 *
 * @module
 */
import { type Action, Agenda, type Decision, type Verdict } from "./decision.ts";
import { type Muster, muster } from "./classify.ts";
import { replacedOne, strengthWhileReplacing } from "./recycling.ts";
import { idleOne } from "./scaling.ts";
import { inReserve, lacksSpare } from "./standby.ts";
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
import { isProven, type Place, type Service, type Worker } from "./model.ts";
import { type Progress, startsOfTrial, verdictOnTrial } from "./outcome.ts";

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
  const { trial } = service;
  const agenda = new Agenda(nowMs);
  const sorted = muster(service, agenda);
  const { ours, theirs, spares, draining, actions } = sorted;
  for (const worker of beyondBound(draining, { service, maxGenerations })) {
    actions.push({ do: "terminate", worker });
  }
  const proven = theirs.filter((worker) => isProven(worker, nowMs)).length;
  const need = needOf(service, { ...sorted, proven });
  const missing = Math.max(0, need.most - ours.length);
  actions.push(...startsOf(service, { missing, spares, agenda }));
  for (const worker of dispensable(service, { ...sorted, ...need })) {
    actions.push({ do: "softstop", worker });
  }
  if (trial === undefined) {
    const idle = actions.length === 0 ? idleOne(service, ours) : undefined;
    if (idle !== undefined) actions.push({ do: "dismiss", worker: idle });
    const { current } = service;
    const isCalm = actions.length === 0 && missing === 0 && mayStart(service);
    if (current !== undefined && isCalm && lacksSpare(service, { ours, spares, agenda })) {
      actions.push({ do: "prepare", version: current });
    }
    return { actions, wakeAtMs: agenda.wakeAtMs };
  }
  const verdict = judge(service, { trial, theirs, proven, missing, actions, agenda });
  return { actions, wakeAtMs: agenda.wakeAtMs, verdict };
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
  { ours, standIns, draining, proven }: Muster & { readonly proven: number },
): Need {
  const { current, trial } = service;
  const wanted = placesOf(service, proven);
  const unfilled = Math.max(0, wanted - ours.filter(isReady).length);
  if (trial !== undefined) {
    // A reload that is under way replaces all of them.
    const held = heldByUndone(trial, { standIns, current, unfilled });
    return { wanted, unfilled, most: wanted - held };
  }
  const leaving = draining.filter(({ generation }) => generation === current?.generation).length;
  return { wanted, unfilled, most: strengthWhileReplacing({ ours, leaving, wanted }) };
}

/** Which processes of the version in force are to be enlisted, or else started. */
function startsOf(
  service: Service,
  { missing, spares, agenda }: {
    readonly missing: number;
    readonly spares: readonly Worker[];
    readonly agenda: Agenda;
  },
): Action[] {
  const { current, failure, startAtMs, vacancies } = service;
  const allowed = Math.min(missing, roomToReturn(service));
  if (current === undefined || allowed <= 0 || failure !== undefined) return [];
  const count = agenda.isDue(startAtMs) ? startable(allowed, vacancies, agenda) : 0;
  const enlisted = inReserve(spares).slice(0, count);
  const left = mayStart(service) ? count - enlisted.length : 0;
  return [
    ...enlisted.map((worker): Action => ({ do: "enlist", worker })),
    ...(left > 0 ? [{ do: "start", count: left, version: current } as const] : []),
  ];
}

/** Whether another process may be started beside those that have detached. */
function mayStart(service: Service): boolean {
  return detachedOf(service) < mostDetached(service);
}

/** How many of the missing processes may be started now: some of their places may have to wait. */
function startable(missing: number, vacancies: readonly Place[], agenda: Agenda): number {
  const free = vacancies.filter(({ startAtMs }) => agenda.isDue(startAtMs)).length;
  return Math.min(missing, free + Math.max(0, missing - vacancies.length));
}

/** Those that are too many, and the one whose successor is ready. */
function dispensable(
  { trial }: Service,
  { ours, theirs, standIns, wanted, unfilled, most }: Muster & Need,
): ReadonlySet<Worker> {
  const replaced = trial === undefined ? replacedOne({ ours, wanted }) : undefined;
  return new Set([
    ...surplus(standIns, { wanted: unfilled, beside: ours }),
    ...surplus(ours, { wanted: most, beside: theirs }),
    ...(replaced === undefined ? [] : [replaced]),
  ]);
}

/** How the trial stands; what it needs is added to what is to be done. */
function judge(
  service: Service,
  { actions, agenda, ...progress }: Progress & {
    readonly actions: Action[];
    readonly agenda: Agenda;
  },
): Verdict {
  const { failure } = progress.trial;
  if (failure !== undefined) return { is: "failed", reason: failure };
  // One that is out of reach may be just what fails the trial.
  if (actions.some(({ do: what }) => what === "terminate" || what === "abort")) {
    return { is: "open" };
  }
  actions.push(...startsOfTrial(service, { ...progress, agenda }));
  return verdictOnTrial(progress, agenda);
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

/**
 * What is to be done for a service, given what is known of it: pure functions from the tables and
 * the time to actions.
 *
 * They compare what is with what should be, so that the answer does not depend on how many events
 * came before or in which order.
 *
 * @module
 */
import { replacedOne, strengthWhileReplacing } from "./recycling.ts";
import {
  isProven,
  isServing,
  type Place,
  type Service,
  type Trial,
  type Version,
  type Worker,
} from "./tables.ts";
import { fullStrength, idleOne, strengthOf } from "./scaling.ts";
import { isWatched, verdictOn } from "./watchdog.ts";

/** A worker that lived less than this delays its service's next start by as much (LIB-ZC). */
export const EARLY_DEATH_MS = 100;

/** From SIGTERM to SIGKILL. */
export const TERMINATE_GRACE_MS = 2_000;

/** How long past its own word a draining worker is let be. */
export const DRAIN_GRACE_MS = 5_000;

/** How long a worker that serves may take to answer to a soft stop, its event loop being busy. */
export const SOFTSTOP_ANSWER_MS = 30_000;

/** The same for one that was never ready, and may hang. */
export const UNREADY_ANSWER_MS = 5_000;

/** From the end of a control socket to SIGTERM for a process that has not ended along with it. */
export const LOST_GRACE_MS = 1_000;

/** Something to be done. */
export type Action =
  | { readonly do: "start"; readonly count: number; readonly version: Version }
  | {
    readonly do:
      | "softstop"
      | "terminate"
      | "kill"
      | "doubt"
      | "abort"
      | "expire"
      | "measure"
      | "dismiss";
    readonly worker: Worker;
  };

/** How a trial stands. */
export type Verdict =
  | { readonly is: "open" }
  | { readonly is: "passed" }
  | { readonly is: "failed"; readonly reason: string };

/** What to do now, and when to look again if nothing happens before. */
export interface Decision {
  readonly actions: readonly Action[];
  /** On the monotonic clock; undefined when only an event can change anything. */
  readonly wakeAtMs?: number;
  /** How the trial stands, where there is one. */
  readonly verdict?: Verdict;
}

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
  const { current, trial } = service;
  const actions: Action[] = [];
  let wakeAtMs: number | undefined;
  const due = (atMs: number): boolean => {
    if (atMs <= nowMs) return true;
    wakeAtMs = Math.min(wakeAtMs ?? Infinity, atMs);
    return false;
  };
  const ours: Worker[] = [], theirs: Worker[] = [], standIns: Worker[] = [];
  const draining: Worker[] = [];
  for (const worker of service.workers) {
    const { state, generation, deadlineMs, silentUntilMs } = worker;
    const isSilent = silentUntilMs !== undefined && isWatched(worker) && due(silentUntilMs);
    const hangs = isSilent && verdictOn(worker, nowMs) === "hangs";
    if (deadlineMs !== undefined && due(deadlineMs)) {
      actions.push({ do: state === "stopping" ? "kill" : "terminate", worker });
      continue;
    }
    if (isSilent) actions.push({ do: hangs ? "abort" : "doubt", worker });
    if (hangs) continue;
    if (state === "ready") {
      const { spent, oldAtMs, measureAtMs } = worker;
      if (spent === undefined && oldAtMs !== undefined && due(oldAtMs)) {
        actions.push({ do: "expire", worker });
      }
      if (spent === undefined && measureAtMs !== undefined && due(measureAtMs)) {
        actions.push({ do: "measure", worker });
      }
    }
    if (state === "draining") draining.push(worker);
    else if (!isServing(worker)) continue;
    else if (generation === current?.generation) ours.push(worker);
    else if (generation === trial?.generation) theirs.push(worker);
    else if (mayStandIn(worker, current)) standIns.push(worker);
    // A later version is in force, its own trial has failed, or the service is gone.
    else actions.push({ do: "softstop", worker });
  }
  for (const worker of beyondBound(draining, { service, maxGenerations })) {
    actions.push({ do: "terminate", worker });
  }
  const proven = theirs.filter((worker) => isProven(worker, nowMs)).length;
  const wanted = current === undefined ? 0 : placesOf(service, proven);
  const leaving = draining.filter(({ generation }) => generation === current?.generation).length;
  const staff = { ours, leaving, wanted };
  const unfilled = Math.max(0, wanted - ours.filter(isReady).length);
  // A reload that is under way replaces all of them.
  const most = trial === undefined
    ? strengthWhileReplacing(staff)
    : wanted - heldByUndone(trial, { standIns, current, unfilled });
  const missing = Math.min(most - ours.length, roomToReturn(service));
  if (current !== undefined && missing > 0 && service.failure === undefined) {
    const count = due(service.startAtMs) ? startable(missing, service.vacancies, due) : 0;
    if (count > 0) actions.push({ do: "start", count, version: current });
  }
  const replaced = trial === undefined ? replacedOne(staff) : undefined;
  const tooMany = [
    ...surplus(standIns, { wanted: unfilled, beside: ours }),
    ...surplus(ours, { wanted: most, beside: theirs }),
  ];
  for (const worker of new Set([...tooMany, ...(replaced ? [replaced] : [])])) {
    actions.push({ do: "softstop", worker });
  }
  const idle = trial === undefined && actions.length === 0 ? idleOne(service, ours) : undefined;
  if (idle !== undefined) actions.push({ do: "dismiss", worker: idle });
  if (trial === undefined) return { actions, wakeAtMs };
  if (trial.failure !== undefined) {
    return { actions, wakeAtMs, verdict: { is: "failed", reason: trial.failure } };
  }
  // One that is out of reach may be just what fails the trial.
  if (actions.some(({ do: what }) => what === "terminate" || what === "abort")) {
    return { actions, wakeAtMs, verdict: { is: "open" } };
  }

  const { procCount } = trial.config;
  // Those of the version in force that are missing have the first claim to a place.
  const room = roomFor(trial, service) - Math.max(0, most - ours.length);
  const count = Math.min(procCount - theirs.length, room);
  if (count > 0 && due(trial.startAtMs)) actions.push({ do: "start", count, version: trial });
  // However many have been proven, the old ones go only when somebody is there.
  if (proven + trial.left >= procCount && proven >= Math.min(procCount, 1)) {
    return { actions, wakeAtMs, verdict: { is: "passed" } };
  }
  let verdict: Verdict = { is: "open" };
  for (const { pid, readyAtMs, startedAtMs, config: { readyTimeoutMs, soakMs } } of theirs) {
    if (readyAtMs !== undefined) due(readyAtMs + soakMs);
    else if (readyTimeoutMs > 0 && due(startedAtMs + readyTimeoutMs)) {
      const reason = `process ${pid} was not ready within ${readyTimeoutMs / 1000} s`;
      verdict = { is: "failed", reason };
    }
  }
  return { actions, wakeAtMs, verdict };
}

/** How many of the missing processes may be started now: some of their places may have to wait. */
function startable(
  missing: number,
  vacancies: readonly Place[],
  due: (atMs: number) => boolean,
): number {
  const free = vacancies.filter(({ startAtMs }) => due(startAtMs)).length;
  return Math.min(missing, free + Math.max(0, missing - vacancies.length));
}

/**
 * How many processes the version in force is to have. All of them, while another one is on trial
 * beside it; with `server-reload-step` each new one that has proven itself takes an old one's place,
 * but for the last: the new version may lack an address that is served until the verdict.
 */
function placesOf(service: Service, proven: number): number {
  const strength = strengthOf(service);
  if (service.trial?.config.reloadStep === undefined) return strength;
  return Math.max(strength - proven, Math.min(strength, 1));
}

/**
 * How many places of the version in force are left to those of a failed trial that fill them, for as
 * long as another trial with `server-reload-step` is under way. One that starts in such a place
 * serves nobody and may never do so; the two would take the room for good that the trial needs.
 */
function heldByUndone(
  trial: Trial,
  { standIns, current, unfilled }: {
    readonly standIns: readonly Worker[];
    readonly current: Version | undefined;
    readonly unfilled: number;
  },
): number {
  if (trial.config.reloadStep === undefined || current === undefined) return 0;
  // Older ones don't count for the room.
  const undone = standIns.filter(({ generation }) => generation > current.generation);
  return Math.min(undone.length, unfilled);
}

/**
 * How many processes more the memory has room for: those that still drain, of the version in force
 * or of one whose trial has failed, take some as well.
 */
function roomFor(trial: Trial, service: Service): number {
  const { procCount, reloadStep } = trial.config;
  if (reloadStep === undefined) return Infinity;
  const most = Math.max(procCount, fullStrength(service));
  return most + reloadStep - aliveSince(service.current ?? trial, service).length;
}

/**
 * How many processes of the version in force there is room for. After a failed trial with
 * `server-reload-step` they come back as gradually as they went.
 */
function roomToReturn(service: Service): number {
  const { current, trial } = service;
  if (current === undefined) return 0;
  const alive = aliveSince(current, service)
    .filter(({ generation }) => generation !== trial?.generation);
  const steps = alive.filter(({ generation }) => generation !== current.generation)
    .flatMap(({ config }) => config.reloadStep ?? []);
  if (steps.length === 0) return Infinity;
  return fullStrength(service) + Math.max(...steps) - alive.length;
}

/** The processes of a version and of later ones. */
function aliveSince({ generation }: Version, { workers }: Service): Worker[] {
  return [...workers].filter((worker) =>
    worker.generation >= generation && worker.state !== "detached"
  );
}

/**
 * Whether a worker of another version may fill a place until one of the version in force is ready:
 * an old one whose successor has ended again, or one of a failed trial with `server-reload-step`, for
 * which one of the version in force was stopped.
 */
function mayStandIn(worker: Worker, current: Version | undefined): boolean {
  return current !== undefined && isReady(worker) &&
    (worker.generation < current.generation || worker.config.reloadStep !== undefined);
}

function isReady({ state }: Worker): boolean {
  return state === "ready";
}

/**
 * Those that are too many: first the ones that don't serve yet, then those whose slot somebody else
 * serves as well, be it one of them or one beside them, then the oldest.
 */
function surplus(
  workers: readonly Worker[],
  { wanted, beside }: { readonly wanted: number; readonly beside: readonly Worker[] },
): Worker[] {
  const byAge = workers.toSorted((a, b) => a.id - b.id), ready = byAge.filter(isReady);
  const left = new Map<number, number>();
  for (const { slot } of [...ready, ...beside.filter(isReady)]) {
    left.set(slot, (left.get(slot) ?? 0) + 1);
  }
  const dispensable = ready.filter(({ slot }) => {
    const others = left.get(slot)! - 1;
    if (others > 0) left.set(slot, others);
    return others > 0;
  });
  const inOrder = new Set([...byAge.filter((one) => !isReady(one)), ...dispensable, ...ready]);
  return [...inOrder].slice(0, Math.max(0, workers.length - wanted));
}

/** The draining workers of those old generations that are too many, the oldest ones. */
function beyondBound(
  draining: readonly Worker[],
  { service: { current, trial }, maxGenerations }: {
    readonly service: Service;
    readonly maxGenerations: number;
  },
): Worker[] {
  const old = draining.filter(({ generation }) =>
    generation !== current?.generation && generation !== trial?.generation
  );
  const generations = [...new Set(old.map(({ generation }) => generation))].sort((a, b) => b - a);
  const bounded = new Set(generations.slice(maxGenerations));
  return old.filter(({ generation }) => bounded.has(generation));
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

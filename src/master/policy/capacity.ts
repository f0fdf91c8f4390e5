/**
 * How many processes each version of a service may have during a reload, and which processes are
 * surplus. Pure.
 *
 * @module
 */
import { fullStrength, strengthOf } from "./scaling.ts";
import { isReady, isStandby, type Worker } from "./life.ts";
import type { Candidate, Service, Version } from "./model.ts";

/**
 * How many processes the current version is to have. During a reload it keeps all of them; with
 * `server-reload-step` each candidate worker that has passed replaces one. The current version
 * always keeps one process, because the candidate may lack an address that must be served until the
 * outcome is known.
 *
 * @param service The service.
 * @param passed How many candidate workers have passed.
 */
export function capacityOf(service: Service, passed: number): number {
  if (service.current === undefined) return 0;
  const strength = strengthOf(service);
  if (service.candidate?.config.reloadStep === undefined) return strength;
  return Math.max(strength - passed, Math.min(strength, 1));
}

/**
 * How many processes of the current version are not started while a reload with
 * `server-reload-step` is under way, because workers of an earlier, undone reload serve in their
 * stead. Starting them would use up the room that the candidate needs.
 *
 * @param candidate The candidate of the reload that is under way.
 * @param options The fallback workers, the current version, and how many of its processes are
 * missing.
 */
export function heldByUndone(
  candidate: Candidate,
  { fallbacks, current, unfilled }: {
    readonly fallbacks: readonly Worker[];
    readonly current: Version | undefined;
    readonly unfilled: number;
  },
): number {
  if (candidate.config.reloadStep === undefined || current === undefined) return 0;
  // Workers older than the current version do not count for the room.
  const undone = fallbacks.filter(({ generation }) => generation > current.generation);
  return Math.min(undone.length, unfilled);
}

/**
 * How many more processes `server-reload-step` allows. Draining processes of the current version
 * and of undone reloads count as well.
 */
export function roomFor(candidate: Candidate, service: Service): number {
  const { procCount, reloadStep } = candidate.config;
  if (reloadStep === undefined) return Infinity;
  const most = Math.max(procCount, fullStrength(service));
  return most + reloadStep - aliveSince(service.current ?? candidate, service).length;
}

/** The limit of {@linkcode leaversOf} per service, whatever its settings are. */
export const MOST_LEAVERS = 64;

/**
 * How many processes of a service may have left their slots of their own accord before starts are
 * held back. A large service gets a higher limit, since all of its processes may do so at the same
 * time.
 */
export function mostLeavers(service: Service): number {
  return Math.max(MOST_LEAVERS, 2 * fullStrength(service));
}

/**
 * How many processes of a service still run after they have left their slots of their own accord:
 * they have detached, or drain without having been told to.
 */
export function leaversOf({ workers }: Service): number {
  return workers.values().filter(({ life }) =>
    life.state === "detached" || life.state === "draining" && life.ofOwnAccord
  ).toArray().length;
}

/**
 * How many processes of the current version may be started now. After an undone reload with
 * `server-reload-step` they return as gradually as they were replaced.
 */
export function roomToReturn(service: Service): number {
  const { current, candidate } = service;
  if (current === undefined) return 0;
  const alive = aliveSince(current, service)
    .filter(({ generation }) => generation !== candidate?.generation);
  const steps = alive.filter(({ generation }) => generation !== current.generation)
    .flatMap(({ config }) => config.reloadStep ?? []);
  if (steps.length === 0) return Infinity;
  return fullStrength(service) + Math.max(...steps) - alive.length;
}

/** The processes of a version and of later ones, without standbys. */
function aliveSince({ generation }: Version, { workers }: Service): Worker[] {
  return [...workers].filter((worker) =>
    worker.generation >= generation && worker.life.state !== "detached" && !isStandby(worker)
  );
}

/**
 * The workers to stop: first those that are not ready, then those whose slot has another ready
 * worker, then the oldest.
 *
 * @param workers The workers to choose from.
 * @param options How many of them are to stay, and the workers that serve beside them.
 */
export function surplus(
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

/**
 * The draining workers of old generations that exceed `maxGenerations`, oldest generations first.
 *
 * @param draining All draining workers.
 * @param options The service, and how many old generations may drain.
 */
export function beyondBound(
  draining: readonly Worker[],
  { service: { current, candidate }, maxGenerations }: {
    readonly service: Service;
    readonly maxGenerations: number;
  },
): Worker[] {
  const old = draining.filter(({ generation }) =>
    generation !== current?.generation && generation !== candidate?.generation
  );
  const generations = [...new Set(old.map(({ generation }) => generation))].sort((a, b) => b - a);
  const bounded = new Set(generations.slice(maxGenerations));
  return old.filter(({ generation }) => bounded.has(generation));
}

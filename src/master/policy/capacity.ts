/**
 * How many processes a service is to have while versions replace each other, and which of them are
 * too many. Pure.
 *
 * @module
 */
import { fullStrength, strengthOf } from "./scaling.ts";
import { type Candidate, isStandby, type Service, type Version, type Worker } from "./model.ts";

/**
 * How many processes the version in force is to have. All of them, while another one is on trial
 * beside it; with `server-reload-step` each new one that has proven itself takes an old one's place,
 * but for the last: the new version may lack an address that is served until the verdict.
 *
 * @param service The service.
 * @param passed How many of the version on trial have proven themselves.
 */
export function placesOf(service: Service, passed: number): number {
  if (service.current === undefined) return 0;
  const strength = strengthOf(service);
  if (service.candidate?.config.reloadStep === undefined) return strength;
  return Math.max(strength - passed, Math.min(strength, 1));
}

/**
 * How many places of the version in force are left to those of a failed trial that fill them, for as
 * long as another trial with `server-reload-step` is under way. One that starts in such a place
 * serves nobody and may never do so; the two would take the room for good that the trial needs.
 *
 * @param candidate The trial that is under way.
 * @param options Who fills places of another version, the version in force, and how many of its
 * places nobody of it serves.
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
  // Older ones don't count for the room.
  const undone = fallbacks.filter(({ generation }) => generation > current.generation);
  return Math.min(undone.length, unfilled);
}

/**
 * How many processes more the memory has room for: those that still drain, of the version in force
 * or of one whose trial has failed, take some as well.
 *
 * @param candidate The trial that is under way.
 * @param service Its service.
 */
export function roomFor(candidate: Candidate, service: Service): number {
  const { procCount, reloadStep } = candidate.config;
  if (reloadStep === undefined) return Infinity;
  const most = Math.max(procCount, fullStrength(service));
  return most + reloadStep - aliveSince(service.current ?? candidate, service).length;
}

/** So many processes of a service may be detached at the same time, whatever its settings are. */
const MOST_DETACHED = 64;

/**
 * How many processes of a service may be detached before no other one is started; for a large service
 * more, all of whose processes may have a reason to detach at the same time.
 *
 * @param service The service.
 */
export function mostDetached(service: Service): number {
  return Math.max(MOST_DETACHED, 2 * fullStrength(service));
}

/**
 * How many processes of a service have detached and still run.
 *
 * @param service The service.
 */
export function detachedOf({ workers }: Service): number {
  return workers.values().filter(({ state }) => state === "detached").toArray().length;
}

/**
 * How many processes of the version in force there is room for. After a failed trial with
 * `server-reload-step` they come back as gradually as they went.
 *
 * @param service The service.
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

/** The processes of a version and of later ones; standbys are not counted among them. */
function aliveSince({ generation }: Version, { workers }: Service): Worker[] {
  return [...workers].filter((worker) =>
    worker.generation >= generation && worker.state !== "detached" && !isStandby(worker)
  );
}

/**
 * Those that are too many: first the ones that don't serve yet, then those whose slot somebody else
 * serves as well, be it one of them or one beside them, then the oldest.
 *
 * @param workers Those of which some may go.
 * @param options How many are to stay, and who serves beside them.
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
 * The draining workers of those old generations that are too many, the oldest ones.
 *
 * @param draining All that drain.
 * @param options Their service, and how many old generations may.
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

/**
 * Whether a worker serves.
 *
 * @param worker The worker.
 */
export function isReady({ state }: Worker): boolean {
  return state === "ready";
}

/**
 * How many processes a service is to have: the number of the configuration, more or fewer where
 * somebody has asked for it, and only as many as are needed where that is asked for. Pure.
 *
 * docs/design/07_supervision.md has the reasons.
 *
 * @module
 */
import { leastMissed } from "./slots.ts";
import { isServing, type Service, type Version, type Worker } from "./model.ts";

/** As many as `server-proc-count` may say. */
const MOST = 10_000;

/**
 * How many processes the version in force has when all of them are needed.
 *
 * @param service The service.
 */
export function fullStrength({ current, extra }: Service): number {
  return current === undefined ? 0 : current.config.procCount + effective(extra, current);
}

/** So much of what somebody has asked for has an effect. */
function effective(extra: number, { config: { procCount } }: Version): number {
  // Somebody who takes processes away does not mean to silence the service.
  const least = Math.min(procCount, 1);
  return within(procCount + extra, { least, most: MOST }) - procCount;
}

/** How many of them stay though nobody uses them. */
function leastStrength(service: Service): number {
  const { idleExitMs = 0, procMin = 0 } = service.current?.config.supervision ?? {};
  const full = fullStrength(service);
  return idleExitMs > 0 ? Math.min(procMin, full) : full;
}

/**
 * How many processes the version in force is to have now.
 *
 * @param service The service.
 */
export function strengthOf(service: Service): number {
  const most = fullStrength(service);
  return within(service.demand ?? most, { least: leastStrength(service), most });
}

/**
 * Takes note that somebody wants so many processes more, or fewer.
 *
 * @param service The service.
 * @param by How many.
 */
export function scale(service: Service, by: number): void {
  const before = service.demand === undefined ? undefined : strengthOf(service);
  const { current, candidate } = service;
  // What has no effect must not have to be taken back first.
  service.extra = current === undefined ? 0 : effective(service.extra + by, current);
  // A reload that began before it does not forget it.
  if (candidate !== undefined) candidate.extra = effective((candidate.extra ?? 0) + by, candidate);
  if (before !== undefined) service.demand = before + by;
  service.demand = service.demand === undefined ? undefined : strengthOf(service);
}

/**
 * The process that nobody uses and that may go.
 *
 * @param service The service.
 * @param currentWorkers Its processes of the version in force.
 * @returns It, or undefined.
 */
export function idleOne(service: Service, currentWorkers: readonly Worker[]): Worker | undefined {
  if (strengthOf(service) <= leastStrength(service)) return undefined;
  return leastMissed(
    currentWorkers.filter(({ state, used }) => state === "ready" && used === false),
    currentWorkers,
  );
}

/**
 * Takes note that a process is in use, which may have been the last one that was free.
 *
 * @param service The service.
 */
export function grow(service: Service): void {
  const serving = [...service.workers].filter((worker) =>
    isServing(worker) && worker.generation === service.current?.generation
  );
  if (service.demand === undefined || serving.some(({ used }) => !used)) return;
  service.demand = Math.max(service.demand, serving.length + 1);
  service.demand = strengthOf(service);
}

/**
 * Whether nothing runs of a service because nobody needs it: then a connection that waits is what
 * starts the next process.
 *
 * @param service The service.
 */
export function isAsleep(service: Service): boolean {
  const { current, candidate, failure, workers } = service;
  return current !== undefined && candidate === undefined && failure === undefined &&
    strengthOf(service) === 0 && fullStrength(service) > 0 && ![...workers].some(isServing);
}

function within(
  value: number,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  return Math.min(Math.max(value, least), most);
}

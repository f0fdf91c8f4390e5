/**
 * How many processes a service is to have: the configured number, changed by the scale signals, and
 * reduced to the present use where `server-idle-exit` is set. Pure.
 *
 * docs/design/07_supervision.md has the reasons.
 *
 * @module
 */
import { MOST_PROCESSES } from "../../config/settings.ts";
import { leastMissed } from "./slots.ts";
import { isReady, isServing, type Worker } from "./life.ts";
import type { Service, Version } from "./model.ts";

/** How many processes the current version has under full use. */
export function fullStrength({ current, extra }: Service): number {
  return current === undefined ? 0 : current.config.procCount + effective(extra, current);
}

/** The part of the scaling that has an effect within the limits. */
function effective(extra: number, { config: { procCount } }: Version): number {
  // Scaling down does not stop the last process of a service.
  const least = Math.min(procCount, 1);
  return within(procCount + extra, { least, most: MOST_PROCESSES }) - procCount;
}

/** How many processes stay when all are idle. */
function leastStrength(service: Service): number {
  const { idleExitMs = 0, procMin = 0 } = service.current?.config.supervision ?? {};
  const full = fullStrength(service);
  return idleExitMs > 0 ? Math.min(procMin, full) : full;
}

/** How many processes the current version is to have now. */
export function strengthOf(service: Service): number {
  const most = fullStrength(service);
  return within(service.demand ?? most, { least: leastStrength(service), most });
}

/**
 * Scales a service.
 *
 * @param service The service.
 * @param by How many processes to add; negative to remove.
 */
export function scale(service: Service, by: number): void {
  const before = service.demand === undefined ? undefined : strengthOf(service);
  const { current, candidate } = service;
  // Scaling beyond the limits is dropped, so that it need not be undone first.
  service.extra = current === undefined ? 0 : effective(service.extra + by, current);
  // The candidate keeps the scaling that happens during its reload.
  if (candidate !== undefined) candidate.extra = effective((candidate.extra ?? 0) + by, candidate);
  if (before !== undefined) service.demand = before + by;
  service.demand = service.demand === undefined ? undefined : strengthOf(service);
}

/** Whether the current version has as many processes as it is to have, all of them ready. */
export function isComplete(service: Service): boolean {
  const serving = [...service.workers].filter(isServing)
    .filter(({ generation }) => generation === service.current?.generation);
  return serving.length === strengthOf(service) && serving.every(isReady);
}

/** Whether as many processes of the current version are ready as it is to have. */
export function hasStrength(service: Service): boolean {
  const { workers, current } = service;
  if (current === undefined) return false;
  const ready = [...workers].filter(isReady)
    .filter(({ generation }) => generation === current.generation);
  return ready.length >= strengthOf(service);
}

/** An idle process that may be stopped, if there is one. */
export function idleOne(service: Service, currentWorkers: readonly Worker[]): Worker | undefined {
  if (strengthOf(service) <= leastStrength(service)) return undefined;
  return leastMissed(
    currentWorkers.filter(isReady).filter(({ life }) => life.used === false),
    currentWorkers,
  );
}

/** Raises the demand by one when all processes are in use. */
export function grow(service: Service): void {
  const serving = [...service.workers].filter(isServing)
    .filter(({ generation }) => generation === service.current?.generation);
  if (service.demand === undefined || serving.some(({ life }) => !life.used)) return;
  service.demand = Math.max(service.demand, serving.length + 1);
  service.demand = strengthOf(service);
}

/** Whether a service is idle: no process runs, and the next connection starts one. */
export function isServiceIdle(service: Service): boolean {
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

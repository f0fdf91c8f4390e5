/**
 * Standbys: loaded processes that wait to replace a serving process at once. This file says how
 * many there are, which one is activated next, and when another one is started. Pure.
 *
 * docs/design/13_standbys.md has the reasons.
 *
 * @module
 */
import type { WakeTime } from "./decision.ts";
import { fullStrength } from "./scaling.ts";
import { isReady, isStandby, type Worker } from "./life.ts";
import type { Service } from "./model.ts";

/**
 * How long the serving processes must have been ready before a standby is started. Its start needs
 * a processor, and waiting connections are answered first.
 */
export const CALM_MS = 20;

/** How many standbys a service is to have. */
export function standbysWanted(service: Service): number {
  const { current, failure } = service;
  // A failed service and a service without processes have no standbys.
  if (current === undefined || failure !== undefined || fullStrength(service) === 0) return 0;
  return current.config.supervision.standbyCount;
}

/**
 * The standbys that can be activated now: first the loaded ones, then the oldest.
 *
 * @param standbys The standbys of the current version.
 */
export function inReserve(standbys: readonly Worker[]): Worker[] {
  // A standby with a deadline is about to end, and a suspected one may hang.
  const able = standbys.filter(isStandby)
    .filter(({ life }) => life.deadlineMs === Infinity && !life.heartbeats?.suspected);
  const rank = ({ life }: Worker) => life.state === "waiting" ? 0 : 1;
  return able.toSorted((a, b) => rank(a) - rank(b) || a.id - b.id);
}

/**
 * Whether to start another standby now. Standbys start in the background, one at a time, while all
 * serving processes are ready, and not before the back-off of standbys allows it.
 *
 * @param service The service, of which no serving process is missing.
 * @param options The serving workers and the standbys of the current version, and the time.
 */
export function lacksStandby(
  service: Service,
  { currentWorkers, standbys, wakeTime }: {
    readonly currentWorkers: readonly Worker[];
    readonly standbys: readonly Worker[];
    readonly wakeTime: WakeTime;
  },
): boolean {
  const ready = currentWorkers.filter(isReady);
  if (ready.length < currentWorkers.length) return false;
  if (standbys.length >= standbysWanted(service)) return false;
  if (standbys.some(({ life }) => life.state === "loading")) return false;
  const readyAtMs = ready.map(({ life }) => life.readyAtMs + CALM_MS);
  return wakeTime.isDue(Math.max(service.standbyHistory?.startAtMs ?? 0, ...readyAtMs));
}

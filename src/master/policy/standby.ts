/**
 * Standbys: processes that have loaded and wait, so that one of them takes over the moment another one
 * dies. How many there are to be, which one is next, and when another one is started. Pure.
 *
 * docs/design/13_standbys.md has the reasons.
 *
 * @module
 */
import type { WakeTime } from "./decision.ts";
import { fullStrength } from "./scaling.ts";
import type { Service, Worker } from "./model.ts";

/**
 * How long the processes that serve have been ready when a standby is started: its start takes a processor
 * for itself, and those that have waited for a process that was missing are answered first.
 */
export const CALM_MS = 20;

/**
 * How many standbys a service is to have.
 *
 * @param service The service.
 */
export function standbysWanted(service: Service): number {
  const { current, failure } = service;
  // Nothing of a failed one is started any more, nor of one that has no place for any.
  if (current === undefined || failure !== undefined || fullStrength(service) === 0) return 0;
  return current.config.supervision.standbyCount;
}

/**
 * The standbys that can take a place now: first those that have loaded, then the oldest.
 *
 * @param standbys Those of the version in force.
 */
export function inReserve(standbys: readonly Worker[]): Worker[] {
  // One with a deadline can't be told anything any more, and one in doubt may hang.
  const able = standbys.filter(({ deadlineMs, suspected }) =>
    deadlineMs === undefined && !suspected
  );
  const rank = ({ state }: Worker) => state === "waiting" ? 0 : 1;
  return able.toSorted((a, b) => rank(a) - rank(b) || a.id - b.id);
}

/**
 * Whether another standby is to be started now. In the background: when all that serve are ready, and
 * one after the other, since nobody waits for them; and after those that have ended early only when it
 * is time.
 *
 * @param service The service, to which nobody is missing.
 * @param options Those of the version in force that serve, its standbys, and the time.
 */
export function lacksStandby(
  service: Service,
  { currentWorkers, standbys, wakeTime }: {
    readonly currentWorkers: readonly Worker[];
    readonly standbys: readonly Worker[];
    readonly wakeTime: WakeTime;
  },
): boolean {
  if (currentWorkers.some(({ state }) => state !== "ready")) return false;
  if (standbys.length >= standbysWanted(service)) return false;
  if (standbys.some(({ state }) => state === "loading")) return false;
  const readyAtMs = currentWorkers.map(({ readyAtMs = 0 }) => readyAtMs + CALM_MS);
  return wakeTime.isDue(Math.max(service.standbyHistory?.startAtMs ?? 0, ...readyAtMs));
}

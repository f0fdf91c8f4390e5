/**
 * What a version on trial still needs, and how it stands. Pure.
 *
 * @module
 */
import type { Action, RolloutOutcome, WakeTime } from "./decision.ts";
import { roomFor } from "./capacity.ts";
import type { Candidate, Service, Worker } from "./model.ts";

/** How far a trial is. */
export interface Progress {
  readonly candidate: Candidate;
  /** Its processes. */
  readonly candidateWorkers: readonly Worker[];
  /** How many of them have proven themselves. */
  readonly passed: number;
  /** How many of the version in force are missing, which have the first claim to a place. */
  readonly missing: number;
}

/**
 * Which processes of a version on trial are to be started.
 *
 * @param service The service.
 * @param options How far the trial is, and the time.
 */
export function startsOfCandidate(
  service: Service,
  { candidate, candidateWorkers, missing, wakeTime }: Progress & { readonly wakeTime: WakeTime },
): Action[] {
  const room = roomFor(candidate, service) - missing;
  const count = Math.min(candidate.config.procCount - candidateWorkers.length, room);
  return count > 0 && wakeTime.isDue(candidate.startAtMs)
    ? [{ do: "start", count, version: candidate }]
    : [];
}

/**
 * How a trial stands whose processes are all within reach.
 *
 * @param progress How far it is.
 * @param wakeTime The time; takes note of when it is to be looked at again.
 */
export function outcomeOfCandidate(
  { candidate, candidateWorkers, passed }: Progress,
  wakeTime: WakeTime,
): RolloutOutcome {
  const { procCount } = candidate.config;
  // However many have been proven, the old ones go only when somebody is there.
  if (passed + candidate.left >= procCount && passed >= Math.min(procCount, 1)) {
    return { is: "passed" };
  }
  for (const { readyAtMs, config: { soakMs } } of candidateWorkers) {
    if (readyAtMs !== undefined) wakeTime.isDue(readyAtMs + soakMs);
  }
  return { is: "open" };
}

/**
 * Which candidate workers a rollout has yet to start, and what its outcome is. Pure.
 *
 * @module
 */
import type { Action, RolloutOutcome, WakeTime } from "./decision.ts";
import { roomFor } from "./capacity.ts";
import type { Candidate, Service, Worker } from "./model.ts";

/** The progress of a rollout. */
export interface Progress {
  readonly candidate: Candidate;
  /** The serving workers of the candidate. */
  readonly candidateWorkers: readonly Worker[];
  /** How many of them have passed. */
  readonly passed: number;
  /**
   * How many processes of the current version are missing; they take precedence over candidate
   * workers.
   */
  readonly missing: number;
}

/** The candidate workers to start. */
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
 * The outcome of a rollout of which no worker is lost.
 *
 * @param progress The progress of the rollout.
 * @param wakeTime The time; records when the outcome may change.
 */
export function outcomeOfCandidate(
  { candidate, candidateWorkers, passed }: Progress,
  wakeTime: WakeTime,
): RolloutOutcome {
  const { procCount } = candidate.config;
  // The old workers are stopped only once a candidate worker is ready, however many have passed
  // before.
  if (passed + candidate.left >= procCount && passed >= Math.min(procCount, 1)) {
    return { is: "passed" };
  }
  for (const { readyAtMs, config: { soakMs } } of candidateWorkers) {
    if (readyAtMs !== undefined) wakeTime.isDue(readyAtMs + soakMs);
  }
  return { is: "open" };
}

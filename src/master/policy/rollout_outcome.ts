/**
 * Which candidate workers a rollout has yet to start, and what its outcome is. Pure.
 *
 * @module
 */
import type { Action, RolloutOutcome, WakeTime } from "./decision.ts";
import { roomFor } from "./capacity.ts";
import type { Worker } from "./life.ts";
import type { Candidate, Service } from "./model.ts";

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

/** What both depend on beside the progress. */
interface Circumstances {
  /** The actions of this decision so far. */
  readonly actions: readonly Action[];
  /** The time; records when the outcome may change. */
  readonly wakeTime: WakeTime;
}

/** The candidate workers to start. */
export function startsOfCandidate(
  service: Service,
  { candidate, candidateWorkers, missing }: Progress,
  { actions, wakeTime }: Circumstances,
): Action[] {
  if (candidate.failure !== undefined || losesWorker(actions)) return [];
  const room = roomFor(candidate, service) - missing;
  const count = Math.min(candidate.config.procCount - candidateWorkers.length, room);
  return count > 0 && wakeTime.isDue(candidate.startAtMs)
    ? [{ do: "start", count, version: candidate }]
    : [];
}

/** Decides whether a rollout has failed and is rolled back, has passed, or is still open. */
export function outcomeOfRollout(
  { candidate, candidateWorkers, passed }: Progress,
  { actions, wakeTime }: Circumstances,
): RolloutOutcome {
  const { config: { procCount }, failure, left } = candidate;
  if (failure !== undefined) return { is: "failed", reason: failure };
  if (losesWorker(actions)) return { is: "open" };
  // The old workers are stopped only once a candidate worker is ready, however many have passed
  // before.
  if (passed + left >= procCount && passed >= Math.min(procCount, 1)) return { is: "passed" };
  for (const { life, config: { soakMs } } of candidateWorkers) {
    if (life.state === "ready") wakeTime.isDue(life.readyAtMs + soakMs);
  }
  return { is: "open" };
}

/** Whether a worker is about to be ended, which may be the one that fails the rollout. */
function losesWorker(actions: readonly Action[]): boolean {
  return actions.some(({ do: what }) => what === "terminate" || what === "abort");
}

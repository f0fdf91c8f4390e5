/**
 * What a version on trial still needs, and how it stands. Pure.
 *
 * @module
 */
import type { Action, Agenda, Verdict } from "./decision.ts";
import { roomFor } from "./capacity.ts";
import type { Service, Trial, Worker } from "./model.ts";

/** How far a trial is. */
export interface Progress {
  readonly trial: Trial;
  /** Its processes. */
  readonly theirs: readonly Worker[];
  /** How many of them have proven themselves. */
  readonly proven: number;
  /** How many of the version in force are missing, which have the first claim to a place. */
  readonly missing: number;
}

/**
 * Which processes of a version on trial are to be started.
 *
 * @param service The service.
 * @param options How far the trial is, and the time.
 */
export function startsOfTrial(
  service: Service,
  { trial, theirs, missing, agenda }: Progress & { readonly agenda: Agenda },
): Action[] {
  const room = roomFor(trial, service) - missing;
  const count = Math.min(trial.config.procCount - theirs.length, room);
  return count > 0 && agenda.isDue(trial.startAtMs) ? [{ do: "start", count, version: trial }] : [];
}

/**
 * How a trial stands whose processes are all within reach.
 *
 * @param progress How far it is.
 * @param agenda The time; takes note of when it is to be looked at again.
 */
export function verdictOnTrial({ trial, theirs, proven }: Progress, agenda: Agenda): Verdict {
  const { procCount } = trial.config;
  // However many have been proven, the old ones go only when somebody is there.
  if (proven + trial.left >= procCount && proven >= Math.min(procCount, 1)) {
    return { is: "passed" };
  }
  for (const { readyAtMs, config: { soakMs } } of theirs) {
    if (readyAtMs !== undefined) agenda.isDue(readyAtMs + soakMs);
  }
  return { is: "open" };
}

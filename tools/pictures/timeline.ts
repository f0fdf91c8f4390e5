/**
 * What a run of bench/timeline.ts has measured: requests over time while programs are reloaded.
 *
 * @module
 */

/** The file of the last run, from the root. */
export const TIMELINE = "docs/pictures/reload.json";

/** One contender. */
export interface ContenderTimeline {
  readonly name: string;
  /** What was done to it, such as `restarted`. */
  readonly how: string;
  /** When that began. */
  readonly actionsMs: readonly number[];
  /** How many of the requests of each step were answered. */
  readonly answered: readonly number[];
  /** How many of them were not. */
  readonly failed: readonly number[];
}

/** A run. */
export interface Timeline {
  /** What the figures depend on. */
  readonly facts: Readonly<Record<string, string>>;
  readonly stepMs: number;
  readonly contenders: readonly ContenderTimeline[];
}

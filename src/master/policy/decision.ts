/**
 * What the policy says: what is to be done for a service, when to look at it again, and how its trial
 * stands.
 *
 * @module
 */
import type { Version, Worker } from "./model.ts";

/** Something to be done. */
export type Action =
  | { readonly do: "start"; readonly count: number; readonly version: Version }
  | { readonly do: "startStandby"; readonly version: Version }
  | {
    readonly do:
      | "activate"
      | "softstop"
      | "terminate"
      | "kill"
      | "suspect"
      | "abort"
      | "recycle"
      | "measure"
      | "scaleDown";
    readonly worker: Worker;
  };

/** How a trial stands. */
export type RolloutOutcome =
  | { readonly is: "open" }
  | { readonly is: "passed" }
  | { readonly is: "failed"; readonly reason: string };

/** What to do now, and when to look again if nothing happens before. */
export interface Decision {
  readonly actions: readonly Action[];
  /** On the monotonic clock; undefined when only an event can change anything. */
  readonly wakeAtMs?: number;
  /** How the trial stands, where there is one. */
  readonly outcome?: RolloutOutcome;
}

/** The time, and the next one at which there is something to look at. */
export class WakeTime {
  #wakeAtMs?: number;

  /** @param nowMs The time. */
  constructor(readonly nowMs: number) {}

  /** When to look again; undefined where nothing is waited for. */
  get wakeAtMs(): number | undefined {
    return this.#wakeAtMs;
  }

  /**
   * Whether the time for something has come. If not, it is a time to look again.
   *
   * @param atMs The time for it.
   */
  isDue(atMs: number): boolean {
    if (atMs <= this.nowMs) return true;
    this.#wakeAtMs = Math.min(this.#wakeAtMs ?? Infinity, atMs);
    return false;
  }
}

/**
 * The result of the policy: the actions for a service, the next wake time, and the outcome of its
 * rollout.
 *
 * @module
 */
import type { Worker } from "./life.ts";
import type { Version } from "./model.ts";

/** One action of the supervisor. */
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

/** The outcome of a service's rollout. */
export type RolloutOutcome =
  | { readonly is: "open" }
  | { readonly is: "passed" }
  | { readonly is: "failed"; readonly reason: string };

/** The actions to do now, and when to decide again if no event happens before. */
export interface Decision {
  readonly actions: readonly Action[];
  /** On the monotonic clock; undefined when only an event can change the decision. */
  readonly wakeAtMs?: number;
  /** The outcome of the rollout, if one is under way. */
  readonly outcome?: RolloutOutcome;
}

/** The current time, and the earliest later time at which a decision is due. */
export class WakeTime {
  #wakeAtMs?: number;

  /** @param nowMs The current time. */
  constructor(readonly nowMs: number) {}

  /** When to decide again; undefined when nothing is due later. */
  get wakeAtMs(): number | undefined {
    return this.#wakeAtMs;
  }

  /** Whether a time has come. If not, it becomes a candidate for the next wake time. */
  isDue(atMs: number): boolean {
    if (atMs <= this.nowMs) return true;
    this.#wakeAtMs = Math.min(this.#wakeAtMs ?? Infinity, atMs);
    return false;
  }
}

/**
 * Counts what happens to workers: starts, ends, accepted connections and drains.
 *
 * @module
 */
import type { EndReason } from "../../control/status.ts";
import type { Clock } from "../../os/clock/clock.ts";
import type { ExitStatus } from "../../os/process/child_process.ts";
import type { Counters } from "../counters/counters.ts";
import { type LifeEvent, shownState, type Worker } from "../policy/life.ts";
import type { WorkerState } from "../policy/states.ts";

/** Counts the events of workers. */
export class WorkerEventCounter {
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #drainingSinceMs = new WeakMap<Worker, number>();
  /** Why workers were told to end that were not to be stopped. */
  readonly #faults = new WeakMap<Worker, EndReason>();

  /**
   * @param clock The source of time.
   * @param counters The counts.
   */
  constructor(clock: Clock, counters: Counters) {
    this.#clock = clock;
    this.#counters = counters;
  }

  /** A worker of a service was started. */
  started(service: string): void {
    this.#counters.started(service);
  }

  /** A worker has accepted so many connections since it was last counted. */
  accepted({ config }: Worker, by: number): void {
    this.#counters.accepted(config.id, by);
  }

  /** A worker is told to end by a signal, since it does not do what it should. */
  told(worker: Worker, reason: EndReason): void {
    this.#faults.set(worker, reason);
  }

  /** A working worker is replaced. */
  replaced({ config }: Worker, reason: EndReason): void {
    this.#counters.ended(config.id, reason);
  }

  /**
   * A worker has ended.
   *
   * @param worker The worker.
   * @param how `isUnexpected`: whether nobody had told it to.
   */
  ended(
    worker: Worker,
    { status, isUnexpected }: { readonly status: ExitStatus; readonly isUnexpected: boolean },
  ): void {
    const own = isUnexpected ? status.signal === null ? "exit" : "signal" : undefined;
    const reason = this.#faults.get(worker) ?? own;
    if (reason !== undefined) this.#counters.ended(worker.config.id, reason);
  }

  /** The state of a worker has changed. */
  changed(worker: Worker, { type }: LifeEvent, before: WorkerState): void {
    if (type === "softstop") {
      // One that was told to stop before it was ready has no client to finish.
      if (shownState(worker.life) === "draining") {
        this.#drainingSinceMs.set(worker, this.#clock.nowMs());
      }
    } else if (type === "exit" || type === "detach") {
      const sinceMs = this.#drainingSinceMs.get(worker);
      this.#drainingSinceMs.delete(worker);
      if (sinceMs === undefined || type === "detach") return;
      this.#counters.drained(worker.config.id, {
        ms: Math.round(this.#clock.nowMs() - sinceMs),
        isKilled: before !== "draining",
      });
    }
  }
}

/**
 * The connections of workers, which are asked for when an operator wants to see them.
 *
 * @module
 */
import type { Clock } from "../../os/clock/clock.ts";
import type { Worker } from "../policy/life.ts";
import type { ConnectionCounts, RunningWorker } from "../workers/worker.ts";

/** How long a worker may take to answer. */
const ANSWER_MS = 500;

/** The last counts of each worker. */
export class WorkerCounts {
  readonly #clock: Clock;
  readonly #counts = new WeakMap<Worker, ConnectionCounts>();
  /** The workers that have not answered yet; undefined while none is asked. */
  #asked?: Set<Worker>;
  #answered = Promise.resolve();
  #resolve = (): void => {};

  /** @param clock The source of time. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Asks all workers.
   *
   * @param running The workers.
   * @returns Fulfilled when all have answered, or after half a second.
   */
  ask(running: ReadonlyMap<Worker, RunningWorker>): Promise<void> {
    if (this.#asked !== undefined) return this.#answered;
    const asked = this.#asked = new Set<Worker>();
    for (const [worker, one] of running) if (one.askCounts()) asked.add(worker);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.setTimer(ANSWER_MS, () => this.#resolve());
    this.#resolve = () => {
      timer.cancel();
      this.#asked = undefined;
      resolve();
    };
    this.#answered = promise;
    if (asked.size === 0) this.#resolve();
    return promise;
  }

  /** A worker has answered. */
  onCounts(worker: Worker, { open, accepted }: ConnectionCounts): void {
    const before = this.#counts.get(worker)?.accepted;
    // It can only grow, whatever a process tells.
    const most = accepted === undefined ? before : Math.max(before ?? 0, accepted);
    this.#counts.set(worker, { open, accepted: most });
    this.drop(worker);
  }

  /** A worker will not answer any more. */
  drop(worker: Worker): void {
    if (this.#asked?.delete(worker) && this.#asked.size === 0) this.#resolve();
  }

  /** The last answer of a worker; undefined if it has given none. */
  of(worker: Worker): ConnectionCounts | undefined {
    return this.#counts.get(worker);
  }
}

/**
 * The way of counts from one master of an upgrade to the other: increments, added up until the other
 * one reads.
 *
 * @module
 */
import type { Clock, Timer } from "../../os/clock/clock.ts";
import { type Increment, IncrementSums } from "./increment_sums.ts";

/** How long increments wait for others. */
const WAIT_MS = 200;

/** The most increments of one message, which has a limit of bytes. */
const MOST_OF_MESSAGE = 500;

/** Passes increments on. */
export class CountForwarding {
  readonly #clock: Clock;
  readonly #waiting = new IncrementSums();
  #send?: (increments: readonly Increment[]) => boolean;
  #timer?: Timer;

  /** @param clock The source of time. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Begins to send; until then everything waits.
   *
   * @param send Sends increments; returns false if they have to wait.
   */
  begin(send: (increments: readonly Increment[]) => boolean): void {
    this.#send = send;
    this.flush();
  }

  /** Passes an increment on, soon. */
  add(increment: Increment): void {
    this.#waiting.add(increment);
    this.#sendLater();
  }

  /** Passes on what waits, now. */
  flush(): void {
    if (this.#send === undefined || this.#waiting.size === 0) return;
    const all = this.#waiting.takeAll();
    while (all.length > 0) {
      const some = all.slice(0, MOST_OF_MESSAGE);
      if (!this.#send(some)) break;
      all.splice(0, some.length);
    }
    for (const increment of all) this.#waiting.add(increment);
    if (all.length > 0) this.#sendLater();
  }

  /** Ends it; what waits is dropped. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = this.#send = undefined;
  }

  #sendLater(): void {
    if (this.#send === undefined) return;
    this.#timer ??= this.#clock.setTimer(WAIT_MS, () => {
      this.#timer = undefined;
      this.flush();
    });
  }
}

/**
 * Short pauses after an accept, which share out new connections among processes on one socket.
 *
 * A new connection wakes all processes, and the first one takes it. A process that has just accepted is
 * awake and would take all connections that arrive at the same time. The pause gives the other processes
 * time to wake up. At a high rate a process accepts more connections between two pauses, and serves its
 * connections during them.
 *
 * @module
 */
import { type Clock, delay, systemClock } from "../../os/clock/clock.ts";

/** The shortest timer, which takes 1 to 2 ms. */
const PAUSE_MS = 0;

/** The number of accepts between two pauses, as a part of the recent accepts. */
const SHARE = 1 / 8;

/** The time constant of "recent", in milliseconds: an accept's weight has dropped to 1/e by then. */
const LATELY_MS = 50;

/** The pauses of one listener. */
export class AcceptPace {
  readonly #clock: Clock;
  #lately = 0;
  #lastMs = 0;
  #sincePause = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Counts an accepted connection. */
  accepted(): void {
    const nowMs = this.#clock.nowMs();
    this.#lately = this.#lately * Math.exp((this.#lastMs - nowMs) / LATELY_MS) + 1;
    this.#lastMs = nowMs;
    this.#sincePause++;
  }

  /** Returns the pause to await before the next accept; undefined when there is none. */
  pause(): Promise<void> | undefined {
    if (this.#sincePause < 1 + this.#lately * SHARE) return undefined;
    this.#sincePause = 0;
    return delay(PAUSE_MS, this.#clock);
  }
}

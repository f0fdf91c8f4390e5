/**
 * How a process leaves connections to the others that accept on the same socket.
 *
 * A new connection wakes them all, and whoever is first takes it; one that has just taken one is
 * awake, and would be the first for all that come at the same time. So it pauses after an accept,
 * for as long as it takes the others to wake up. One that accepts at a high rate takes more between
 * two pauses, and loses nothing by them: it has its connections to serve meanwhile.
 *
 * @module
 */
import { type Clock, systemClock } from "../../os/clock/clock.ts";

/** As short as a timer can be, which is 1 to 2 ms. */
const PAUSE_MS = 0;

/** What is taken between two pauses, as a part of what was taken lately. */
const SHARE = 1 / 8;

/** How long something was lately, in milliseconds: its weight has come down to a third by then. */
const LATELY_MS = 50;

/** The pauses of one listener. */
export class AcceptPace {
  readonly #clock: Clock;
  #lately = 0;
  #lastMs = 0;
  #sincePause = 0;

  /** @param clock Where time comes from. */
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

  /**
   * To be awaited before an accept.
   *
   * @returns Fulfilled when it is this process's turn; undefined when it is by now.
   */
  pause(): Promise<void> | undefined {
    if (this.#sincePause < 1 + this.#lately * SHARE) return undefined;
    this.#sincePause = 0;
    return new Promise((resolve) => this.#clock.setTimer(PAUSE_MS, resolve));
  }
}

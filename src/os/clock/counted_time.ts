/**
 * The clock of deadlines: monotonic time without the suspensions of this process, by SIGSTOP, a frozen
 * container, or a paused machine.
 *
 * A suspension shows as an alarm that rings late. Deadlines that pass during it do not count, since the other
 * processes were mostly suspended as well. docs/design/20_time_that_counts.md has the reasons.
 *
 * @module
 */

/** An alarm that is later than this indicates a suspension. */
export const LATE_MS = 250;

/**
 * The precision of a suspension's begin: a timer that is due later than this gets an extra test halfway, and
 * another one halfway through the rest.
 */
export const LOOK_MS = 1_000;

/** Counts the time in which this process runs. */
export class CountedTime {
  readonly #monotonicMs: () => number;
  /** The sum of suspensions so far. */
  #lostMs = 0;
  /** The time of the last test. */
  #seenMs: number;
  /** The time at which the alarm should ring. */
  #ringMs = Infinity;
  #awayAtMs = -Infinity;

  /** @param monotonicMs The monotonic clock, in milliseconds. */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#seenMs = monotonicMs();
  }

  /** The time of the last return from a suspension; -Infinity: never. */
  get awayAtMs(): number {
    return this.#awayAtMs;
  }

  /** The counted milliseconds, which never go backwards. */
  nowMs(): number {
    const nowMs = this.#monotonicMs() - this.#lostMs;
    return this.#seenMs = nowMs - this.#ringMs > LATE_MS ? this.#backFrom(nowMs) : nowMs;
  }

  /** Records a suspension since the last test, less up to LOOK_MS in which the process may have run. */
  #backFrom(nowMs: number): number {
    // If one alarm after the other is late, the machine is busy, and time has to advance.
    const isAgain = this.#seenMs - this.#awayAtMs < LOOK_MS;
    this.#awayAtMs = Math.max(this.#seenMs, this.#ringMs - (isAgain ? 0 : LOOK_MS));
    this.#lostMs += nowMs - this.#awayAtMs;
    return this.#awayAtMs;
  }

  /** Records that the alarm has rung, possibly early, and returns the time. */
  rung(): number {
    const nowMs = this.nowMs();
    this.#ringMs = Infinity;
    return nowMs;
  }

  /**
   * Plans the alarm.
   *
   * @param firstMs The time of the next timer; Infinity without one.
   * @returns The monotonic time at which to ring: that of the timer, or earlier for a test.
   */
  alarmMs(firstMs: number): number {
    const nowMs = this.nowMs(), leftMs = firstMs - nowMs;
    this.#ringMs = leftMs > LOOK_MS ? nowMs + Math.max(LOOK_MS, leftMs / 2) : firstMs;
    return this.#ringMs + this.#lostMs;
  }
}

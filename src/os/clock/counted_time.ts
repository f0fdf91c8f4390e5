/**
 * Time that counts for deadlines: monotonic time without that in which this process did not run, because
 * it was stopped (SIGSTOP, a frozen container) or its machine was paused.
 *
 * Such a time shows by an alarm that rings late. What was due long after it has waited for nothing that
 * others could have done meanwhile: they were mostly away as well. docs/design/20_time_that_counts.md
 * has the reasons.
 *
 * @module
 */

/** An alarm that is later than this tells of a time in which the process did not run. */
export const LATE_MS = 250;

/**
 * How exactly the begin of such a time is known: what is due later than this has one look at half of the
 * way, and again at half of the rest.
 */
export const LOOK_MS = 1_000;

/** Counts the time in which this process runs. */
export class CountedTime {
  readonly #monotonicMs: () => number;
  /** How much was not counted so far. */
  #lostMs = 0;
  /** When the time was looked at last. */
  #seenMs: number;
  /** When the alarm is to ring. */
  #ringMs = Infinity;
  #awayAtMs = -Infinity;

  /** @param monotonicMs The monotonic clock, in milliseconds. */
  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#seenMs = monotonicMs();
  }

  /** When the process was seen to be back from a time that does not count; -Infinity: never. */
  get awayAtMs(): number {
    return this.#awayAtMs;
  }

  /** Milliseconds that count; they never go backwards. */
  nowMs(): number {
    const nowMs = this.#monotonicMs() - this.#lostMs;
    return this.#seenMs = nowMs - this.#ringMs > LATE_MS ? this.#backFrom(nowMs) : nowMs;
  }

  /** It may have been away from the last look on. Up to LOOK_MS that may have counted is given back. */
  #backFrom(nowMs: number): number {
    // Where one alarm after the other is late, the machine is busy, and time has to go on.
    const isAgain = this.#seenMs - this.#awayAtMs < LOOK_MS;
    this.#awayAtMs = Math.max(this.#seenMs, this.#ringMs - (isAgain ? 0 : LOOK_MS));
    this.#lostMs += nowMs - this.#awayAtMs;
    return this.#awayAtMs;
  }

  /**
   * Takes note that the alarm has rung, which it may do before its time as well.
   *
   * @returns The time.
   */
  rung(): number {
    const nowMs = this.nowMs();
    this.#ringMs = Infinity;
    return nowMs;
  }

  /**
   * Says when the alarm is to ring, which is expected to happen then.
   *
   * @param firstMs When something is due next; Infinity: nothing is.
   * @returns When to ring, on the monotonic clock: then, or before, to look at the time.
   */
  alarmMs(firstMs: number): number {
    const nowMs = this.nowMs(), leftMs = firstMs - nowMs;
    this.#ringMs = leftMs > LOOK_MS ? nowMs + Math.max(LOOK_MS, leftMs / 2) : firstMs;
    return this.#ringMs + this.#lostMs;
  }
}

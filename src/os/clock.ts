/**
 * Monotonic time and timers, as a port that tests replace.
 *
 * @module
 */

/** A timer that was set. */
export interface Timer {
  /** Takes it back; harmless once it has fired. */
  cancel(): void;
}

/** Where time comes from. */
export interface Clock {
  /** Milliseconds on a clock that only goes forward, whatever happens to the time of day. */
  nowMs(): number;
  /**
   * Calls back once.
   *
   * @param delayMs After so many milliseconds; 0 or less: as soon as possible.
   * @param callback What to call.
   */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** The longest delay that setTimeout takes: 24.8 days. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The real clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  setTimer(delayMs, callback) {
    let id: ReturnType<typeof setTimeout>;
    const arm = (leftMs: number) => {
      // With a longer delay the timer would fire at once, so it is reached in steps.
      id = leftMs > MAX_DELAY_MS
        ? setTimeout(() => arm(leftMs - MAX_DELAY_MS), MAX_DELAY_MS)
        : setTimeout(callback, Math.max(leftMs, 0));
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(id) };
  },
};

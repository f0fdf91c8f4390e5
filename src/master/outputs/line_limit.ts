/**
 * The limit of lines of all processes of a service, those that they have left behind included.
 *
 * Pure but for the clock that it is given.
 *
 * @module
 */

/** The most lines of a service within a second. */
export const LINES_PER_SECOND = 10_000;

const SECOND_MS = 1_000;

/** Counts the lines of a service. */
export class LineLimit {
  readonly #nowMs: () => number;
  #sinceMs = -Infinity;
  #count = 0;

  /** @param nowMs Returns the time of a clock that never goes backwards. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether no further line is within the limit for now. */
  get isReached(): boolean {
    if (this.#count < LINES_PER_SECOND) return false;
    this.#beginSecond();
    return this.#count === LINES_PER_SECOND;
  }

  /** Counts a line; returns whether it is within the limit. */
  take(): boolean {
    if (this.isReached) return false;
    if (this.#count === 0) this.#beginSecond();
    this.#count++;
    return true;
  }

  #beginSecond(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#sinceMs < SECOND_MS) return;
    this.#sinceMs = nowMs;
    this.#count = 0;
  }
}

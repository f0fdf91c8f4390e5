/**
 * The limit of lines of one process, and the count of those that were left out beyond it.
 *
 * Pure but for the clock that it is given.
 *
 * @module
 */
import { counted } from "../../config/errors.ts";

/** The most lines of a process within a second. */
export const LINES_PER_SECOND = 10_000;

const SECOND_MS = 1_000;

/** Counts the lines of a process. */
export class LineLimit {
  readonly #now: () => number;
  #sinceMs = -Infinity;
  #count = 0;
  #dropped = 0;

  /** @param now Returns the time in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether no further line is within the limit for now. */
  get isReached(): boolean {
    if (this.#count < LINES_PER_SECOND) return false;
    this.#beginSecond();
    return this.#count === LINES_PER_SECOND;
  }

  /** Counts a line; returns whether it is within the limit. */
  take(): boolean {
    if (this.isReached) {
      this.#dropped++;
      return false;
    }
    if (this.#count === 0) this.#beginSecond();
    this.#count++;
    return true;
  }

  /** Counts lines that were left out. */
  drop(lines: number): void {
    this.#dropped += lines;
  }

  /**
   * A text about the lines that were left out, if there are any and the next line is within the limit again.
   *
   * @param isLast Whether no line follows for now, so that it must be told in any case.
   */
  report(isLast = false): string | undefined {
    if (this.#dropped === 0) return undefined;
    this.#beginSecond();
    if (this.#count === LINES_PER_SECOND && !isLast) return undefined;
    const text = `${
      counted(this.#dropped, "line")
    } dropped: more than ${LINES_PER_SECOND} within a second`;
    this.#dropped = 0;
    return text;
  }

  #beginSecond(): void {
    const nowMs = this.#now();
    if (nowMs - this.#sinceMs < SECOND_MS) return;
    this.#sinceMs = nowMs;
    this.#count = 0;
  }
}

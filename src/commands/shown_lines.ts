/**
 * The lines of a log that is followed over several masters: each of them is shown once, and none of before the first
 * one.
 *
 * @module
 */
import type { LogLine } from "../control/messages.ts";

/** How many shown lines are remembered, which the next master may send again. */
const SHOWN_MAX = 20_000;

/** How late a line may come after the time of day was set back. */
const SLACK_MS = 60_000;

/** Remembers what was shown. */
export class ShownLines {
  readonly #now: () => number;
  readonly #shown = new Set<string>();
  #beginAtMs?: number;

  /** @param now Returns the time, in milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The lines that are to be shown of these. */
  fresh(lines: readonly LogLine[]): LogLine[] {
    const nowMs = this.#now();
    this.#beginAtMs ??= lines[0]?.atMs ?? nowMs;
    // The time of day was set back: lines of now have earlier times than the first one.
    if (nowMs < this.#beginAtMs) this.#beginAtMs = nowMs - SLACK_MS;
    return lines.filter(({ key, atMs }) => atMs >= this.#beginAtMs! && !this.#shown.has(key));
  }

  /** Records that lines were shown. */
  add(lines: readonly LogLine[]): void {
    for (const { key } of lines) this.#shown.add(key);
    for (const oldest of this.#shown) {
      if (this.#shown.size <= SHOWN_MAX) break;
      this.#shown.delete(oldest);
    }
  }
}

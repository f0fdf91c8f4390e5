/**
 * A clock for tests: its time goes on only when it is told to.
 *
 * @module
 */
import type { Clock, Timer } from "../../src/os/clock/clock.ts";
import { LATE_MS, LOOK_MS } from "../../src/os/clock/counted_time.ts";

interface Alarm {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until {@linkcode FakeClock.advance} is called. */
export class FakeClock implements Clock {
  #nowMs: number;
  readonly #alarms = new Set<Alarm>();
  /** When it was asleep last. */
  awayAtMs = -Infinity;

  /** @param startMs What it shows at first; not 0, so that nothing mistakes it for "never". */
  constructor(startMs = 1_000_000) {
    this.#nowMs = startMs;
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** Milliseconds until the next timer; undefined when none is set. */
  get nextInMs(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : Math.max(next.atMs - this.#nowMs, 0);
  }

  /** @returns The time that it was set to. */
  nowMs(): number {
    return this.#nowMs;
  }

  /**
   * Sets a timer, which never fires from within this call.
   *
   * @param delayMs After so many milliseconds.
   * @param callback What to call.
   * @returns The timer.
   */
  setTimer(delayMs: number, callback: () => void): Timer {
    const alarm = { atMs: this.#nowMs + delayMs, callback };
    this.#alarms.add(alarm);
    return { cancel: () => void this.#alarms.delete(alarm) };
  }

  /**
   * Lets time go by, and calls the timers that are due on the way, each at its own time.
   *
   * @param ms For how long; 0 calls those that are due already.
   */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let next = this.#next(); next !== undefined && next.atMs <= endMs; next = this.#next()) {
      this.#alarms.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }

  /**
   * Has the process away for a time, of which no more counts than on the real clock.
   *
   * @param ms For how long.
   */
  sleep(ms: number): void {
    const nextMs = this.nextInMs ?? Infinity;
    const lookMs = nextMs > LOOK_MS ? Math.max(LOOK_MS, nextMs / 2) : nextMs;
    if (ms <= lookMs + LATE_MS) this.#nowMs += ms;
    else this.awayAtMs = this.#nowMs += Math.max(0, lookMs - LOOK_MS);
    this.advance(0);
  }

  /** The earliest timer; of two for the same time the one that was set first. */
  #next(): Alarm | undefined {
    let found: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (found === undefined || alarm.atMs < found.atMs) found = alarm;
    }
    return found;
  }
}

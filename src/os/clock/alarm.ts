/**
 * An alarm: the one timer of the runtime that serves all timers of a process.
 *
 * It is an `AbortSignal.timeout`, and not a `setTimeout`, the first of which loads node's timers into the
 * process: 5 ms of its start, and 3 MB of memory. Such a signal can't be cancelled. It keeps the runtime
 * running only while it has a listener, and an unused one can serve the next timer that is due no sooner;
 * docs/design/14_what_a_process_costs.md has more.
 *
 * @module
 */

/** The longest timer of the runtime: 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** A pending signal. */
interface Signal {
  /** The latest time at which it fires. */
  readonly atMs: number;
  readonly signal: AbortSignal;
}

/** Rings once at a time that can be changed, and never too late. */
export class Alarm {
  readonly #ring: () => void;
  /** The pending signals, the latest one first. */
  readonly #signals: Signal[] = [];
  /** The signal with a listener: the last of these. */
  #heard?: Signal;

  /** @param ring Called from the event loop, never from within {@linkcode set}. */
  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /**
   * Sets the alarm, in place of its present time. It may ring early; then the caller sets it again.
   *
   * @param atMs The latest time, by `performance.now()`; Infinity turns it off, and the runtime may end.
   */
  set(atMs: number): void {
    if (this.#heard !== undefined && this.#heard.atMs <= atMs && atMs < Infinity) return;
    this.#heard?.signal.removeEventListener("abort", this.#onSignal);
    this.#heard = undefined;
    if (atMs === Infinity) return;
    // A signal without a listener may have fired meanwhile.
    while (this.#signals.at(-1)?.signal.aborted) this.#signals.pop();
    let next = this.#signals.at(-1);
    if (next === undefined || next.atMs > atMs) this.#signals.push(next = newSignal(atMs));
    next.signal.addEventListener("abort", this.#onSignal);
    this.#heard = next;
  }

  readonly #onSignal = (): void => {
    this.#heard = undefined;
    this.#signals.pop();
    this.#ring();
  };
}

function newSignal(atMs: number): Signal {
  const nowMs = performance.now();
  // Rounded up: an early ring would have to be set again.
  const delayMs = Math.min(Math.max(Math.ceil(atMs - nowMs), 0), LONGEST_MS);
  return { atMs: Math.min(atMs, nowMs + delayMs), signal: AbortSignal.timeout(delayMs) };
}

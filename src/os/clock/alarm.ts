/**
 * One alarm of the runtime, for all timers of a process.
 *
 * It is an `AbortSignal.timeout`, and not a `setTimeout`, the first of which loads node's timers into
 * the process: 5 ms of its start, and 3 MB for as long as it lives. Such a signal can't be taken back.
 * It keeps the runtime from ending only while somebody listens to it, and one that was set for
 * nothing can serve the next timer that is due no sooner; docs/design/14_what_a_process_costs.md has more.
 *
 * @module
 */

/** The longest time that a timer of the runtime takes: 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** A signal that is under way. */
interface Signal {
  /** When it comes, at the latest. */
  readonly atMs: number;
  readonly signal: AbortSignal;
}

/** Rings once at a time that can be changed, and never too late. */
export class Alarm {
  readonly #ring: () => void;
  /** All that are under way, each for a time before the one that stands before it. */
  readonly #signals: Signal[] = [];
  /** The one that is listened to: the last of these. */
  #heard?: Signal;

  /** @param ring Called when it rings: from the event loop, never from within {@linkcode set}. */
  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /**
   * Sets it, in place of what was set before. It may ring before its time as well; who still waits
   * then sets it again.
   *
   * @param atMs When to ring at the latest, by `performance.now()`; Infinity: not at all. The runtime
   * may end then.
   */
  set(atMs: number): void {
    if (this.#heard !== undefined && this.#heard.atMs <= atMs && atMs < Infinity) return;
    this.#heard?.signal.removeEventListener("abort", this.#onSignal);
    this.#heard = undefined;
    if (atMs === Infinity) return;
    // One that nobody has listened to may have come meanwhile.
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
  // Rounded up: what comes too soon has to be set again.
  const delayMs = Math.min(Math.max(Math.ceil(atMs - nowMs), 0), LONGEST_MS);
  return { atMs: Math.min(atMs, nowMs + delayMs), signal: AbortSignal.timeout(delayMs) };
}

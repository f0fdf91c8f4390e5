/**
 * The deadlines of an event base: any number of waits, one timer.
 *
 * Almost every wait ends long before its deadline, and the same connection then waits again. So an
 * entry stays where it is in the heap when its wait ends or its deadline moves later, and is only
 * looked at when its turn comes: to set and to clear a deadline costs no heap operation and no
 * timer. Without entries there is no timer; when the last wait is over the timer fires once more.
 *
 * @module
 */
import type { Clock, Timer } from "../../os/clock/clock.ts";
import { Heap, type HeapItem } from "../../os/clock/timer_queue.ts";

const NEVER = Infinity;

/** One wait at a time, used again and again. */
export class AioDeadline implements HeapItem {
  /** When the wait is over; NEVER when there is no wait. */
  atMs: number = NEVER;
  /** What the heap is ordered by: never later than `atMs` at the time the entry was placed. */
  keyMs: number = NEVER;
  /** See {@linkcode HeapItem}. */
  place: number = -1;

  /** Called when the deadline passed. */
  readonly passed: () => void;

  /**
   * Makes an entry that waits for nothing.
   *
   * @param passed Called when the deadline passed; must not throw.
   */
  constructor(passed: () => void) {
    this.passed = passed;
  }

  /** Ends the wait. */
  disarm(): void {
    this.atMs = NEVER;
  }
}

/** A heap of deadlines and the one timer that serves it. */
export class AioDeadlines {
  readonly #clock: Clock;
  readonly #heap = new Heap<AioDeadline>((one, other) => one.keyMs < other.keyMs);
  #timer: Timer | undefined;
  #timerMs = NEVER;
  #nowMs = 0;
  #nowIsFresh = false;

  /**
   * Makes an empty set.
   *
   * @param clock The time and the timer.
   */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Starts a wait, in place of the one that the entry had.
   *
   * @param deadline The entry.
   * @param afterMs How long the wait is, in milliseconds from now.
   */
  arm(deadline: AioDeadline, afterMs: number): void {
    deadline.atMs = this.#now() + afterMs;
    if (deadline.place < 0) {
      deadline.keyMs = deadline.atMs;
      this.#heap.add(deadline);
    } else if (deadline.atMs < deadline.keyMs) {
      deadline.keyMs = deadline.atMs;
      this.#heap.moved(deadline);
    } else {
      return;
    }
    this.#setTimer();
  }

  /**
   * Takes an entry out for good; harmless when it is not in.
   *
   * @param deadline The entry.
   */
  remove(deadline: AioDeadline): void {
    deadline.disarm();
    if (this.#heap.remove(deadline)) this.#setTimer();
  }

  /**
   * The time, read once for all that happens at once: reading it costs more than anything else
   * here.
   */
  #now(): number {
    if (!this.#nowIsFresh) {
      this.#nowMs = this.#clock.nowMs();
      this.#nowIsFresh = true;
      queueMicrotask(this.#forgetNow);
    }
    return this.#nowMs;
  }

  readonly #forgetNow = (): void => {
    this.#nowIsFresh = false;
  };

  #fire(): void {
    this.#timer = undefined;
    this.#timerMs = NEVER;
    const nowMs = this.#clock.nowMs();
    for (let first; (first = this.#heap.first) !== undefined;) {
      if (first.keyMs > nowMs) break;
      const hasPassed = first.atMs <= nowMs;
      if (hasPassed) first.disarm();
      first.keyMs = first.atMs;
      this.#heap.moved(first);
      if (hasPassed) first.passed();
    }
    this.#setTimer();
  }

  /** Makes the timer fire no later than the first key, and ends it when there is none. */
  #setTimer(): void {
    const firstMs = this.#heap.first?.keyMs ?? NEVER;
    if (firstMs === NEVER) {
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#timerMs = NEVER;
    } else if (firstMs < this.#timerMs) {
      this.#timer?.cancel();
      this.#timerMs = firstMs;
      this.#timer = this.#clock.setTimer(firstMs - this.#clock.nowMs(), () => this.#fire());
    }
  }
}

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

const NEVER = Infinity;

/** One wait at a time, used again and again. */
export class AioDeadline {
  /** When the wait is over; NEVER when there is no wait. */
  atMs: number = NEVER;
  /** What the heap is ordered by: never later than `atMs` at the time the entry was placed. */
  keyMs: number = NEVER;
  /** Where it is in the heap; -1 outside. */
  index: number = -1;

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

/** A binary heap of deadlines and the one timer that serves it. */
export class AioDeadlines {
  readonly #clock: Clock;
  readonly #heap: AioDeadline[] = [];
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
    if (deadline.index < 0) {
      deadline.keyMs = deadline.atMs;
      deadline.index = this.#heap.length;
      this.#heap.push(deadline);
      this.#up(deadline);
    } else if (deadline.atMs < deadline.keyMs) {
      deadline.keyMs = deadline.atMs;
      this.#up(deadline);
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
    if (deadline.index < 0) return;
    this.#takeOut(deadline);
    this.#setTimer();
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
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.keyMs > nowMs) break;
      const hasPassed = first.atMs <= nowMs;
      if (hasPassed) first.disarm();
      first.keyMs = first.atMs;
      this.#down(first);
      if (hasPassed) first.passed();
    }
    this.#setTimer();
  }

  /** Makes the timer fire no later than the first key, and ends it when there is none. */
  #setTimer(): void {
    const firstMs = this.#heap[0]?.keyMs ?? NEVER;
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

  #takeOut(deadline: AioDeadline): void {
    const last = this.#heap.pop()!;
    if (last !== deadline) {
      this.#put(last, deadline.index);
      this.#up(last);
      this.#down(last);
    }
    deadline.index = -1;
  }

  #up(deadline: AioDeadline): void {
    let index = deadline.index;
    while (index > 0) {
      const parent = this.#heap[(index - 1) >> 1]!;
      if (parent.keyMs <= deadline.keyMs) break;
      this.#put(parent, index);
      index = (index - 1) >> 1;
    }
    this.#put(deadline, index);
  }

  #down(deadline: AioDeadline): void {
    let index = deadline.index;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#heap.length) break;
      if (
        child + 1 < this.#heap.length && this.#heap[child + 1]!.keyMs < this.#heap[child]!.keyMs
      ) child++;
      if (this.#heap[child]!.keyMs >= deadline.keyMs) break;
      const other = this.#heap[child]!;
      this.#put(other, index);
      index = child;
    }
    this.#put(deadline, index);
  }

  #put(deadline: AioDeadline, index: number): void {
    this.#heap[index] = deadline;
    deadline.index = index;
  }
}

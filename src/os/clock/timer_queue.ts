/**
 * A queue of timers as a binary heap, in which adding and removing stay fast with many timers. It knows no
 * clock and calls no callbacks.
 *
 * @module
 */

/** A timer of a {@linkcode TimerQueue}. */
export interface WaitingTimer {
  /** The time at which it is due. */
  readonly atMs: number;
  /** What is to be called then. */
  readonly callback: () => void;
  /** Its number in the order of setting. */
  readonly serial: number;
  /** Its index in the heap; -1 when it has been removed. Only the queue changes it. */
  place: number;
}

/** Timers in the order of their due times; equal times in the order of setting. */
export class TimerQueue {
  readonly #heap: WaitingTimer[] = [];
  #nextSerial = 0;

  /** The time of the first timer; Infinity without one. */
  get firstMs(): number {
    return this.#heap[0]?.atMs ?? Infinity;
  }

  /** Adds a timer. */
  add(atMs: number, callback: () => void): WaitingTimer {
    const timer = { atMs, callback, serial: this.#nextSerial++, place: this.#heap.length };
    this.#heap.push(timer);
    this.#up(timer);
    return timer;
  }

  /** Removes a timer, and returns whether it was in the queue. */
  remove(timer: WaitingTimer): boolean {
    const { place } = timer;
    if (place < 0) return false;
    timer.place = -1;
    const last = this.#heap.pop()!;
    if (last !== timer) {
      this.#put(last, place);
      this.#up(last);
      this.#down(last);
    }
    return true;
  }

  /** Returns the first timer if it is due, without removing it. */
  firstDue(nowMs: number): WaitingTimer | undefined {
    return this.firstMs <= nowMs ? this.#heap[0] : undefined;
  }

  #up(timer: WaitingTimer): void {
    let { place } = timer;
    while (place > 0) {
      const parent = this.#heap[(place - 1) >> 1];
      if (!isBefore(timer, parent)) break;
      this.#put(parent, place);
      place = (place - 1) >> 1;
    }
    this.#put(timer, place);
  }

  #down(timer: WaitingTimer): void {
    let { place } = timer;
    for (;;) {
      const [left, right] = [this.#heap[2 * place + 1], this.#heap[2 * place + 2]];
      if (left === undefined) break;
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(child, timer)) break;
      const free = child.place;
      this.#put(child, place);
      place = free;
    }
    this.#put(timer, place);
  }

  #put(timer: WaitingTimer, place: number): void {
    this.#heap[place] = timer;
    timer.place = place;
  }
}

function isBefore(one: WaitingTimer, other: WaitingTimer): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.serial < other.serial);
}

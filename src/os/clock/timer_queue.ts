/**
 * Timers that wait, the next one first: a binary heap, so that setting one and taking one back cost
 * little however many there are. It knows no clock and calls nobody.
 *
 * @module
 */

/** A timer that waits in a {@linkcode TimerQueue}, or did. */
export interface WaitingTimer {
  /** When it is due. */
  readonly atMs: number;
  /** What is to be called then. */
  readonly callback: () => void;
  /** Its number in the order of setting. */
  readonly serial: number;
  /** Where it is in the heap; -1 when it is not in it any more. The queue's alone. */
  place: number;
}

/** Timers in the order in which they are due; those for the same time in the order of setting. */
export class TimerQueue {
  readonly #heap: WaitingTimer[] = [];
  #nextSerial = 0;

  /** When the first one is due; Infinity when none waits. */
  get firstMs(): number {
    return this.#heap[0]?.atMs ?? Infinity;
  }

  /**
   * Adds a timer.
   *
   * @param atMs When it is due.
   * @param callback What is to be called.
   * @returns The timer.
   */
  add(atMs: number, callback: () => void): WaitingTimer {
    const timer = { atMs, callback, serial: this.#nextSerial++, place: this.#heap.length };
    this.#heap.push(timer);
    this.#up(timer);
    return timer;
  }

  /**
   * Takes a timer out.
   *
   * @param timer The timer.
   * @returns Whether it was still in.
   */
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

  /**
   * The timer that is due first, if it is due by now; it stays in.
   *
   * @param nowMs The time.
   */
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

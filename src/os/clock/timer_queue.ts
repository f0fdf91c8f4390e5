/**
 * A binary heap, in which adding, moving and removing stay fast with many items, and the queue of timers that
 * is made of it. It knows no clock and calls no callbacks.
 *
 * @module
 */

/** An item of a {@linkcode Heap}. */
export interface HeapItem {
  /** Its index in the heap; -1 outside. Only the heap changes it. */
  place: number;
}

/** A binary heap. */
export class Heap<T extends HeapItem> {
  readonly #isBefore: (one: T, other: T) => boolean;
  readonly #items: T[] = [];

  /** @param isBefore The order. Call `moved` for an item in the heap whose order has changed. */
  constructor(isBefore: (one: T, other: T) => boolean) {
    this.#isBefore = isBefore;
  }

  /** The first item. */
  get first(): T | undefined {
    return this.#items[0];
  }

  /** Adds an item. */
  add(item: T): void {
    item.place = this.#items.length;
    this.#items.push(item);
    this.#up(item);
  }

  /** Removes an item, and returns whether it was inside. */
  remove(item: T): boolean {
    const { place } = item;
    if (place < 0) return false;
    item.place = -1;
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#put(last, place);
      this.moved(last);
    }
    return true;
  }

  /** Puts an item where it belongs after a change of its order. */
  moved(item: T): void {
    this.#up(item);
    this.#down(item);
  }

  #up(item: T): void {
    let { place } = item;
    while (place > 0) {
      const parent = this.#items[(place - 1) >> 1];
      if (!this.#isBefore(item, parent)) break;
      this.#put(parent, place);
      place = (place - 1) >> 1;
    }
    this.#put(item, place);
  }

  #down(item: T): void {
    let { place } = item;
    for (;;) {
      let next = 2 * place + 1;
      if (next >= this.#items.length) break;
      const other = next + 1;
      if (other < this.#items.length && this.#isBefore(this.#items[other], this.#items[next])) {
        next = other;
      }
      const child = this.#items[next];
      if (!this.#isBefore(child, item)) break;
      this.#put(child, place);
      place = next;
    }
    this.#put(item, place);
  }

  #put(item: T, place: number): void {
    this.#items[place] = item;
    item.place = place;
  }
}

/** A timer of a {@linkcode TimerQueue}. */
export interface WaitingTimer extends HeapItem {
  /** The time at which it is due. */
  readonly atMs: number;
  /** What is to be called then. */
  readonly callback: () => void;
  /** Its number in the order of setting. */
  readonly serial: number;
}

/** Timers in the order of their due times; equal times in the order of setting. */
export class TimerQueue {
  readonly #heap = new Heap<WaitingTimer>(isBefore);
  #nextSerial = 0;

  /** The time of the first timer; Infinity without one. */
  get firstMs(): number {
    return this.#heap.first?.atMs ?? Infinity;
  }

  /** Adds a timer. */
  add(atMs: number, callback: () => void): WaitingTimer {
    const timer = { atMs, callback, serial: this.#nextSerial++, place: -1 };
    this.#heap.add(timer);
    return timer;
  }

  /** Removes a timer, and returns whether it was in the queue. */
  remove(timer: WaitingTimer): boolean {
    return this.#heap.remove(timer);
  }

  /** Returns the first timer if it is due, without removing it. */
  firstDue(nowMs: number): WaitingTimer | undefined {
    return this.firstMs <= nowMs ? this.#heap.first : undefined;
  }
}

function isBefore(one: WaitingTimer, other: WaitingTimer): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.serial < other.serial);
}

/**
 * A queue in front of something that takes log lines, or doesn't: it never waits, holds a bounded
 * number of bytes, and owns up to what it had to drop.
 *
 * A receiver that is full is waited for on the event loop; one that is gone is looked for again when
 * a line comes, at most once a second. It knows nothing of what lines look like.
 *
 * @module
 */
import type { Clock } from "../os/clock/clock.ts";

/** Where lines go to. */
export interface Outlet {
  /**
   * Takes a line, or the beginning of it.
   *
   * @param data What is left of the line.
   * @returns How many bytes were taken, or undefined when it is full.
   * @throws When the receiver is gone.
   */
  send(data: Uint8Array<ArrayBuffer>): number | undefined;
  /**
   * Waits for room on the event loop; only for an outlet that can be full. It may send lines by itself
   * then.
   *
   * @param lines What waits, in its order.
   * @param done Called once, with the number of lines that were sent meanwhile.
   * @returns The wait.
   */
  waitForRoom(lines: readonly Uint8Array[], done: (sent: number) => void): Wait;
  /**
   * Waits for room here, blocking.
   *
   * @param timeoutMs For how long at most, in whole milliseconds.
   * @returns Whether there is room, or an error to tell.
   */
  blockForRoom(timeoutMs: number): boolean;
  /** Gives up what it holds. */
  close(): void;
}

/** An {@linkcode Outlet} that waits for room. */
export interface Wait {
  /** Whether it sends lines by itself, which nobody must overtake. */
  readonly isSending: boolean;
  /**
   * Ends the wait without calling back. Lines that are on their way are waited for, blocking.
   *
   * @param timeoutMs For how long at most, in whole milliseconds.
   * @returns `sent`: how many were sent; `isOver`: whether no more can follow.
   */
  end(timeoutMs: number): { readonly sent: number; readonly isOver: boolean };
}

/** What a spool needs. */
export interface SpoolOptions {
  /** Finds the receiver; throws when it isn't there. */
  readonly connect: () => Outlet;
  /** Makes the line that says how many were dropped. */
  readonly notice: (dropped: number) => Uint8Array<ArrayBuffer>;
  /** Told once for each time that the receiver is gone and lines are dropped. */
  readonly onGone: (error: unknown) => void;
  /** For the time between two attempts to find the receiver. */
  readonly clock: Clock;
  /** How many bytes may wait; the default is 1 MiB. */
  readonly limitBytes?: number;
}

/** Bytes that wait; `lines` is how many are lost with them: more than 1 for a notice. */
interface Item {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly lines: number;
}

const DEFAULT_LIMIT_BYTES = 1_048_576;
const RECONNECT_MS = 1_000;
const ITEM_BYTES = 100;
const LINES_PER_WAIT = 256;

/** Lines on their way to an {@linkcode Outlet}. */
export class Spool {
  readonly #options: SpoolOptions;
  readonly #limitBytes: number;
  #outlet?: Outlet;
  #wait?: Wait;
  #queue: Item[] = [];
  /** How much of the first item was taken. */
  #offset = 0;
  #queuedBytes = 0;
  /** Lines lost and not yet in a notice. */
  #dropped = 0;
  /** Why the receiver is gone, if it is. */
  #loss: unknown;
  #told = false;
  #connectAtMs = -Infinity;
  #onIdle: (() => void)[] = [];

  /**
   * Opens nothing before the first line.
   *
   * @param options What it needs.
   */
  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#limitBytes = options.limitBytes ?? DEFAULT_LIMIT_BYTES;
  }

  /**
   * Sends a line now, or keeps it, or drops and counts it. Never waits, never throws.
   *
   * @param line The line, in the form that the outlet takes; not to be changed afterwards.
   */
  push(line: Uint8Array<ArrayBuffer>): void {
    // A loop that logs without a pause gives the event loop no turn: make room from here.
    if (this.#queue.length > 0) this.#drain();
    // Once it overflows, half of it gets free before it takes lines again. Else each line that a slow
    // reader makes room for would come with a notice of its own.
    const limit = this.#dropped > 0 ? this.#limitBytes / 2 : this.#limitBytes;
    if (this.#queuedBytes + costOf(line) > limit) {
      this.#dropped++;
      return;
    }
    this.#ownUp();
    this.#add({ data: line, lines: 1 });
    this.#drain();
  }

  /**
   * Waits, on the event loop, until no line is waiting any more.
   *
   * @param timeoutMs For how long at most.
   * @returns Settles then; never rejects.
   */
  idle(timeoutMs: number): Promise<void> {
    if (this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(timeoutMs, resolve);
      this.#onIdle.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /**
   * Sends what can be sent and gives everything up.
   *
   * @param timeoutMs For how long at most a full receiver is waited for, blocking.
   * @returns How many lines were dropped without a word about it.
   */
  close(timeoutMs: number): number {
    const deadline = this.#options.clock.nowMs() + timeoutMs;
    const leftMs = () => Math.max(Math.ceil(deadline - this.#options.clock.nowMs()), 0);
    this.#connectAtMs = -Infinity;
    // What is still on its way after that time must not be overtaken.
    while (this.#endWait(leftMs())) {
      this.#drain();
      if (this.#queue.length === 0 || !this.#outlet?.blockForRoom(leftMs())) break;
    }
    this.#discard();
    this.#disconnect();
    return this.#dropped;
  }

  #add(item: Item): void {
    this.#queue.push(item);
    this.#queuedBytes += costOf(item.data);
  }

  /** The notice comes where the lines are missing: before the first one that is kept again. */
  #ownUp(): void {
    if (this.#dropped === 0) return;
    this.#add({ data: this.#options.notice(this.#dropped), lines: this.#dropped });
    this.#dropped = 0;
  }

  #drain(): void {
    while (!this.#wait?.isSending) {
      if (this.#queue.length === 0) this.#ownUp();
      if (this.#queue.length === 0) return this.#settle();
      const outlet = this.#outlet ?? this.#connect();
      if (outlet === undefined) {
        this.#tellOnce();
        return this.#discard();
      }
      if (!this.#sendFirst(outlet)) return this.#waitForRoom(outlet);
    }
  }

  /** Returns false when the outlet is full. */
  #sendFirst(outlet: Outlet): boolean {
    const { data } = this.#queue[0];
    let taken: number | undefined;
    try {
      taken = outlet.send(this.#offset === 0 ? data : data.subarray(this.#offset));
    } catch (error) {
      this.#disconnect();
      this.#loss = error;
      // Its successor gets the line from the start.
      this.#offset = 0;
      return true;
    }
    if (taken === undefined) return false;
    this.#told = false;
    this.#offset += taken;
    if (this.#offset === data.length) this.#remove(1);
    return true;
  }

  /** Takes lines from the queue that were sent. */
  #remove(count: number): void {
    for (; count > 0; count--) {
      this.#queuedBytes -= costOf(this.#queue.shift()!.data);
      this.#offset = 0;
    }
  }

  #connect(): Outlet | undefined {
    const now = this.#options.clock.nowMs();
    if (now < this.#connectAtMs) return undefined;
    this.#connectAtMs = now + RECONNECT_MS;
    try {
      return this.#outlet = this.#options.connect();
    } catch (error) {
      this.#loss = error;
      return undefined;
    }
  }

  #tellOnce(): void {
    if (this.#told) return;
    this.#told = true;
    this.#options.onGone(this.#loss);
  }

  #waitForRoom(outlet: Outlet): void {
    if (this.#wait !== undefined) return;
    const lines = this.#queue.slice(0, LINES_PER_WAIT).map(({ data }) => data);
    try {
      this.#wait = outlet.waitForRoom(lines, (sent) => {
        this.#wait = undefined;
        this.#remove(sent);
        this.#drain();
      });
    } catch {
      // At the limit of open files, of which there may be much to log: the next line tries again.
    }
  }

  #endWait(timeoutMs: number): boolean {
    const { sent, isOver } = this.#wait?.end(timeoutMs) ?? { sent: 0, isOver: true };
    this.#wait = undefined;
    this.#remove(sent);
    return isOver;
  }

  #disconnect(): void {
    this.#endWait(0);
    this.#outlet?.close();
    this.#outlet = undefined;
  }

  #discard(): void {
    for (const { lines } of this.#queue) this.#dropped += lines;
    this.#queue = [];
    this.#queuedBytes = this.#offset = 0;
    this.#settle();
  }

  /** Nothing waits any more. */
  #settle(): void {
    this.#endWait(0);
    if (this.#onIdle.length === 0) return;
    for (const callback of this.#onIdle.splice(0)) callback();
  }
}

/** What a waiting line takes, the objects around it included. */
function costOf({ length }: Uint8Array): number {
  return length + ITEM_BYTES;
}

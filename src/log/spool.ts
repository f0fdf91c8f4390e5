/**
 * A queue before a log destination: it never blocks, holds a bounded number of bytes, and reports the number
 * of dropped lines.
 *
 * A full receiver is waited for on the event loop; a missing one is looked for when a line comes, at most once
 * a second. The spool does not know the format of lines.
 *
 * @module
 */
import type { Clock } from "../os/clock/clock.ts";

/** A connected log destination. */
export interface Outlet {
  /**
   * Sends a line, or the beginning of it.
   *
   * @param data The rest of the line.
   * @returns The number of bytes sent, or undefined when it is full.
   * @throws When the receiver is gone.
   */
  send(data: Uint8Array<ArrayBuffer>): number | undefined;
  /**
   * Waits for room on the event loop; only for an outlet that can be full. It may send lines by itself meanwhile.
   *
   * @param lines The pending lines, in order.
   * @param done Called once, with the number of lines that were sent meanwhile.
   */
  waitForRoom(lines: readonly Uint8Array[], done: (sent: number) => void): Wait;
  /**
   * Waits for room, blocking.
   *
   * @param timeoutMs The time limit in whole milliseconds.
   * @returns Whether there is room, or an error to report.
   */
  blockForRoom(timeoutMs: number): boolean;
  /** Releases its resources. */
  close(): void;
}

/** A wait of an {@linkcode Outlet} for room. */
export interface Wait {
  /** Whether it sends lines by itself, which no other send may overtake. */
  readonly isSending: boolean;
  /**
   * Ends the wait without calling back. Lines that are being sent are waited for, blocking.
   *
   * @param timeoutMs The time limit in whole milliseconds.
   * @returns `sent`: the number of sent lines; `isOver`: whether no more can follow.
   */
  end(timeoutMs: number): { readonly sent: number; readonly isOver: boolean };
}

/** The options of a spool. */
export interface SpoolOptions {
  /** Connects to the receiver; throws when there is none. */
  readonly connect: () => Outlet;
  /** Encodes the line about dropped lines. */
  readonly notice: (dropped: number) => Uint8Array<ArrayBuffer>;
  /** Called once for each period in which the receiver is gone and lines are dropped. */
  readonly onGone: (error: unknown) => void;
  /** Measures the time between two attempts to connect. */
  readonly clock: Clock;
  /** The capacity in bytes; default 1 MiB. */
  readonly limitBytes?: number;
}

/** Pending bytes; `lines` is the number of lines that are lost with them: more than 1 for a notice. */
interface Item {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly lines: number;
}

export const DEFAULT_LIMIT_BYTES = 1_048_576;
const RECONNECT_MS = 1_000;
const ITEM_BYTES = 100;
const LINES_PER_WAIT = 256;
/**
 * The size of lines that are sent together. A pipe takes so much as a whole (PIPE_BUF): with more, lines of another
 * master that writes to the same pipe during an upgrade could come in between.
 */
const JOINED_BYTES = 4_096;

/** Lines on their way to an {@linkcode Outlet}. */
export class Spool {
  readonly #options: SpoolOptions;
  readonly #limitBytes: number;
  #outlet?: Outlet;
  #wait?: Wait;
  #queue: Item[] = [];
  /** The number of sent bytes of the first item. */
  #offset = 0;
  #queuedBytes = 0;
  /** The number of dropped lines that are not in a notice yet. */
  #dropped = 0;
  /** The error of a missing receiver. */
  #loss: unknown;
  #told = false;
  #connectAtMs = -Infinity;
  #onIdle: (() => void)[] = [];

  /** Opens nothing before the first line. */
  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#limitBytes = options.limitBytes ?? DEFAULT_LIMIT_BYTES;
  }

  /**
   * Sends a line, queues it, or drops and counts it. Never blocks, never throws.
   *
   * @param line The encoded line; must not be changed afterwards.
   */
  push(line: Uint8Array<ArrayBuffer>): void {
    this.#push({ data: line, lines: 1 });
  }

  /**
   * Sends lines as {@linkcode Spool.push} does, many with one call: only for a destination without records.
   *
   * @param lines The encoded lines, which are copied.
   */
  pushJoined(lines: readonly Uint8Array<ArrayBuffer>[]): void {
    let first = 0, size = 0;
    for (const [index, { length }] of lines.entries()) {
      if (size > 0 && size + length > JOINED_BYTES) {
        this.#push(joined(lines.slice(first, index), size));
        first = index;
        size = 0;
      }
      size += length;
    }
    if (size > 0) this.#push(joined(lines.slice(first), size));
  }

  #push(item: Item): void {
    // A loop that logs without a pause gives the event loop no turn, so the queue is drained here.
    if (this.#queue.length > 0) this.#drain();
    // After an overflow, half of the queue has to be free before it takes lines again. Otherwise each line that a
    // slow reader makes room for would come with its own notice.
    const limit = this.#dropped > 0 ? this.#limitBytes / 2 : this.#limitBytes;
    if (this.#queuedBytes + costOf(item.data) > limit) {
      this.#dropped += item.lines;
      return;
    }
    this.#ownUp();
    this.#add(item);
    this.#drain();
  }

  /**
   * Waits, on the event loop, until no line is pending.
   *
   * @param timeoutMs The time limit.
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
   * Sends pending lines and discards the rest.
   *
   * @param timeoutMs The time limit for a full receiver, blocking.
   * @returns The number of dropped lines that no notice reports.
   */
  close(timeoutMs: number): number {
    const deadline = this.#options.clock.nowMs() + timeoutMs;
    const leftMs = () => Math.max(Math.ceil(deadline - this.#options.clock.nowMs()), 0);
    this.#connectAtMs = -Infinity;
    // Lines that are being sent after that time must not be overtaken.
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

  /** Queues the notice in the place of the dropped lines: before the first line that is kept again. */
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
      // The next outlet gets the line from the start.
      this.#offset = 0;
      return true;
    }
    if (taken === undefined) return false;
    this.#told = false;
    this.#offset += taken;
    if (this.#offset === data.length) this.#remove(1);
    return true;
  }

  /** Removes sent lines from the queue. */
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
      // At the limit of open files, a state with many log lines: the next line tries again.
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

  /** Resolves `idle`: no line is pending any more. */
  #settle(): void {
    this.#endWait(0);
    if (this.#onIdle.length === 0) return;
    for (const callback of this.#onIdle.splice(0)) callback();
  }
}

function joined(lines: readonly Uint8Array[], size: number): Item {
  const data = new Uint8Array(size);
  let at = 0;
  for (const line of lines) {
    data.set(line, at);
    at += line.length;
  }
  return { data, lines: lines.length };
}

/** The memory of a pending line, including its objects. */
function costOf({ length }: Uint8Array): number {
  return length + ITEM_BYTES;
}

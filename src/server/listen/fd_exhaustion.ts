/**
 * What to do when accept(2) fails for a lack of descriptors or memory: to try again at once would
 * only take the processor from those who could free some.
 *
 * @module
 */
import { zinfoFrom } from "../../log/log.ts";
import { type Clock, systemClock } from "../../os/clock/clock.ts";
import { isReadable } from "../../os/fd/poller.ts";
import { areDescriptorsFree, isOutOfDescriptors } from "../../os/fd/reserve_fd.ts";
import { rejectPending, type RejectPendingOptions } from "../../os/net/reject_pending.ts";
import type { AcceptCounts } from "./accept_counts.ts";

/** How long to wait with the next accept, and how often to look meanwhile whether somebody waits. */
const PAUSE_MS = 100, LOOKS = 5;

/** How many clients to turn away in one go, which takes some 5 ms. */
const MOST_TURNED_AWAY = 256;

/** How often to tell of it at most. */
const LOG_MS = 1000;

/** What shortages are told with: one line a second for the whole process, and none of them lost. */
class FdExhaustionLog {
  readonly #clock: Clock;
  #loggedAtMs = -Infinity;
  #rejected = 0;
  #error = "";
  #pending = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  tell({ message }: Error, rejected: number): void {
    this.#error = message;
    this.#rejected += rejected;
    if (this.#pending) return;
    const waitMs = this.#loggedAtMs + LOG_MS - this.#clock.nowMs();
    if (waitMs <= 0) return this.#write();
    this.#pending = true;
    this.#clock.setTimer(waitMs, () => {
      this.#pending = false;
      this.#write();
    });
  }

  #write(): void {
    this.#loggedAtMs = this.#clock.nowMs();
    const rejected = this.#rejected === 0
      ? ""
      : `; clients turned away since the last line: ${this.#rejected}`;
    this.#rejected = 0;
    // Without a place in the source: to find it the runtime reads a file, and without a descriptor
    // for that it panics.
    zinfoFrom(
      undefined,
      `Cannot accept a connection: ${this.#error}; accepting goes on after a pause${rejected}`,
    );
  }
}

const processLog = new FdExhaustionLog(systemClock);

/** What belongs to the listener that there is a shortage for. */
export interface FdExhaustionOptions {
  /** The listening socket; undefined where nobody can be turned away. Borrowed until `stop`. */
  readonly fd?: number;
  /** How many descriptors must be free for accepting to go on; default 1. */
  readonly needed?: number;
  /** What to tell clients that are turned away; default nothing. */
  readonly answer?: RejectPendingOptions["answer"];
}

/**
 * The shortages of one listener.
 *
 * At first it waits: a descriptor may become free meanwhile, or another process that accepts on the
 * same socket has some. Clients are turned away when the queue was not empty all the time: then
 * nobody else takes them either.
 */
export class FdExhaustion {
  readonly #counts: AcceptCounts;
  readonly #options: FdExhaustionOptions;
  #stopped = false;

  /**
   * @param counts Where clients that are turned away are counted.
   * @param options The listener.
   */
  constructor(counts: AcceptCounts, options: FdExhaustionOptions = {}) {
    this.#counts = counts;
    this.#options = options;
  }

  /**
   * Waits a little, or for as long as it is hopeless, and tells of it in the log, but not each time.
   *
   * @param error What accept has failed with.
   */
  async pause(error: Error): Promise<void> {
    const { fd, needed = 1 } = this.#options;
    processLog.tell(error, 0);
    for (;;) {
      const somebodyWaited = await this.#wait();
      if (this.#stopped || !somebodyWaited || fd === undefined) return;
      if (!isOutOfDescriptors(error) || areDescriptorsFree(needed)) return;
      const rejected = this.#rejectPending(fd);
      this.#counts.rejected += rejected;
      processLog.tell(error, rejected);
    }
  }

  /** Ends it: the listener is closed, and its descriptor not used any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Returns whether somebody was in the queue all the time, as far as was looked. */
  async #wait(): Promise<boolean> {
    const { fd } = this.#options;
    let somebodyWaited = true;
    for (let look = 0; look < LOOKS && !this.#stopped; look++) {
      await new Promise<void>((resolve) => systemClock.setTimer(PAUSE_MS / LOOKS, resolve));
      if (fd !== undefined && !this.#stopped) somebodyWaited &&= isReadable(fd);
    }
    return somebodyWaited;
  }

  #rejectPending(fd: number): number {
    try {
      return rejectPending(fd, { most: MOST_TURNED_AWAY, answer: this.#options.answer });
    } catch (error) {
      processLog.tell(error as Error, 0);
      return 0;
    }
  }
}

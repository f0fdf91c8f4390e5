/**
 * Handling of FD exhaustion: pauses and rejected connections when accept(2) fails for lack of
 * descriptors or memory. An immediate retry would only take CPU time from the work that frees some.
 *
 * @module
 */
import { logLine } from "../../log/log.ts";
import { type Clock, delay, systemClock } from "../../os/clock/clock.ts";
import { isReadable } from "../../os/fd/poller.ts";
import { areDescriptorsFree, isOutOfDescriptors } from "../../os/fd/reserve_fd.ts";
import { rejectPending, type RejectPendingOptions } from "../../os/net/reject_pending.ts";
import type { AcceptCounts } from "./accept_counts.ts";

/** The pause before the next accept, and how often the queue is tested during it. */
const PAUSE_MS = 100, LOOKS = 5;

/** The most pending connections to reject in one go, which takes some 5 ms. */
const MOST_REJECTED = 256;

/** The least time between two log lines. */
const LOG_MS = 1000;

/** Logs FD exhaustion: at most one line a second per process, with all rejections counted. */
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
      : `; clients rejected since the last line: ${this.#rejected}`;
    this.#rejected = 0;
    // Without a source position: the runtime reads a file to find it, and panics when no descriptor is
    // free for that.
    logLine(
      "error",
      `Cannot accept a connection: ${this.#error}; accepting goes on after a pause${rejected}`,
    );
  }
}

const processLog = new FdExhaustionLog(systemClock);

/** The listener whose accept fails. */
export interface FdExhaustionOptions {
  /** The listening socket; undefined where pending connections can't be rejected. Borrowed until `stop`. */
  readonly fd?: number;
  /** The number of free descriptors that accepting needs; default 1. */
  readonly needed?: number;
  /** The answer to rejected connections; default none. */
  readonly answer?: RejectPendingOptions["answer"];
}

/**
 * The FD exhaustion of one listener.
 *
 * It waits first: a descriptor may become free, or another process may accept on the same socket. It
 * rejects pending connections if the queue was never empty during the pause: then no other process
 * accepts them.
 */
export class FdExhaustion {
  readonly #counts: AcceptCounts;
  readonly #options: FdExhaustionOptions;
  #stopped = false;

  /** Counts rejected connections in `counts`. */
  constructor(counts: AcceptCounts, options: FdExhaustionOptions = {}) {
    this.#counts = counts;
    this.#options = options;
  }

  /** Pauses, for as long as no descriptor is free, and logs `error` at a limited rate. */
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

  /** Stops: the listener is closed, and its descriptor is not used any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Waits, and returns whether the queue was never empty meanwhile. */
  async #wait(): Promise<boolean> {
    const { fd } = this.#options;
    let somebodyWaited = true;
    for (let look = 0; look < LOOKS && !this.#stopped; look++) {
      await delay(PAUSE_MS / LOOKS);
      if (fd !== undefined && !this.#stopped) somebodyWaited &&= isReadable(fd);
    }
    return somebodyWaited;
  }

  #rejectPending(fd: number): number {
    try {
      return rejectPending(fd, { most: MOST_REJECTED, answer: this.#options.answer });
    } catch (error) {
      processLog.tell(error as Error, 0);
      return 0;
    }
  }
}

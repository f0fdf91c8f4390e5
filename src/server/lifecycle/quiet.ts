/**
 * A periodic scan of the open connections of this process, which answers every caller that waits for
 * connections to close or to become idle. All callers share one scan: with a scan for each of a thousand
 * listeners, the process would be busy for many seconds.
 *
 * @module
 */
import { type Clock, systemClock } from "../../os/clock/clock.ts";
import { OpenConnections } from "../../os/net/connections.ts";

/** A connection without traffic in either direction for this long is idle. */
export const QUIET_MS = 1_000;

/**
 * The same limit for a connection on which a request may have begun, and the limit for a TLS handshake
 * that was under way at the stop.
 */
export const UNSURE_MS = 5_000;

/** The delay before the first scan, and the interval of the next ones. */
const FIRST_LOOK_MS = 1, LOOK_MS = 100;

/** The least pause after a scan, as a multiple of the scan's duration, which grows with the connections. */
const LOOK_REST = 20;

/** A condition that is tested at each scan. */
type Question = (open: Pick<OpenConnections, "at">) => boolean;

/** Scans repeatedly while a condition is pending. */
export class ConnectionLooks {
  readonly #clock: Clock;
  readonly #look: () => Pick<OpenConnections, "at">;
  readonly #open = new Map<Question, () => void>();
  #isWaiting = false;

  /**
   * @param clock The source of time.
   * @param look Finds the open connections.
   */
  constructor(
    clock: Clock = systemClock,
    look: () => Pick<OpenConnections, "at"> = () => new OpenConnections(),
  ) {
    this.#clock = clock;
    this.#look = look;
  }

  /**
   * Tests a condition at each scan, for the first time in the next turn of the event loop. The open
   * connections are looked up only if the condition reads them, which needs FFI.
   *
   * @returns Fulfilled when the condition is true.
   */
  until(question: Question): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#open.set(question, resolve);
    if (!this.#isWaiting) this.#wait(FIRST_LOOK_MS);
    return promise;
  }

  #wait(pauseMs: number): void {
    this.#isWaiting = true;
    this.#clock.setTimer(pauseMs, () => {
      const beginMs = this.#clock.nowMs();
      let found: Pick<OpenConnections, "at"> | undefined;
      const open: Pick<OpenConnections, "at"> = {
        at: (address) => (found ??= this.#look()).at(address),
      };
      try {
        for (const [question, answered] of this.#open) {
          if (!question(open)) continue;
          this.#open.delete(question);
          answered();
        }
      } finally {
        // Also after a scan that failed, as without a free descriptor: the next one may succeed.
        this.#isWaiting = false;
        const tookMs = this.#clock.nowMs() - beginMs;
        if (this.#open.size > 0) this.#wait(Math.max(LOOK_MS, LOOK_REST * tookMs));
      }
    });
  }
}

/** The scans of this process. */
export const connectionLooks: ConnectionLooks = new ConnectionLooks();

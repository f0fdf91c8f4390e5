/**
 * Turns for others: calls that need not wait follow each other by promise reactions alone, which would keep timers and
 * all other connections waiting for as long as a client is as fast as this process.
 *
 * @module
 */

/** How many calls may follow each other, as in the runtime. */
const CALLS_PER_TURN = 128;

/** The calls on one descriptor. */
export class Turns {
  #calls = 0;

  /** Counts a call, and returns what it has to wait for first; undefined if nothing. */
  take(): Promise<void> | undefined {
    return ++this.#calls > CALLS_PER_TURN ? this.#letOthers() : undefined;
  }

  async #letOthers(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#calls = 0;
  }
}

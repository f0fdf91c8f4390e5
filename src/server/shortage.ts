/**
 * What to do when accept(2) fails for a lack of descriptors or memory: to try again at once would
 * only take the processor from those who could free some.
 *
 * @module
 */
import { zinfoFrom } from "../log/log.ts";
import { systemClock } from "../os/clock.ts";

/** How long to wait with the next accept. */
const PAUSE_MS = 100;

/** How often to tell of it at most. */
const LOG_MS = 1000;

/** The shortages of one listener. */
export class Shortage {
  #loggedAtMs = -Infinity;

  /**
   * Waits a little, and tells of it in the log, but not each time.
   *
   * @param error What accept has failed with.
   */
  async pause({ message }: Error): Promise<void> {
    const nowMs = systemClock.nowMs();
    if (nowMs - this.#loggedAtMs >= LOG_MS) {
      this.#loggedAtMs = nowMs;
      // Without a place in the source: to find it the runtime reads a file, and without a descriptor
      // for that it panics.
      zinfoFrom(
        undefined,
        `Cannot accept a connection: ${message}; accepting goes on after a pause`,
      );
    }
    await new Promise<void>((resolve) => systemClock.setTimer(PAUSE_MS, resolve));
  }
}

/**
 * What a draining server still has to finish: everything that serves a client is counted here, and
 * the one who waits is told when there is nothing left.
 *
 * @module
 */

/** Counts what is under way. */
export class Activity {
  /** Called each time the count has come down to 0. */
  onIdle: (() => void) | undefined;
  #count = 0;

  /** How much is under way. */
  get count(): number {
    return this.#count;
  }

  /**
   * Counts one thing more.
   *
   * @returns Counts it off; harmless the second time.
   */
  begin(): () => void {
    this.#count++;
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      if (--this.#count === 0) this.onIdle?.();
    };
  }
}

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
  #standing = 0;

  /** How much is under way. */
  get count(): number {
    return this.#count;
  }

  /** How much of that is there all the time, whether anybody uses it or not. */
  get standing(): number {
    return this.#standing;
  }

  /**
   * Counts one thing more.
   *
   * @param options `standing`: whether it is there all the time, and only its end is work.
   * @returns Counts it off; harmless the second time.
   */
  begin({ standing = false }: { readonly standing?: boolean } = {}): () => void {
    this.#count++;
    if (standing) this.#standing++;
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      if (standing) this.#standing--;
      if (--this.#count === 0) this.onIdle?.();
    };
  }
}

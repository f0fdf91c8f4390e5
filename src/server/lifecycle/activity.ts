/**
 * A counter of the work that is under way in a server.
 *
 * @module
 */

/** Counts the work under way. */
export class Activity {
  /** Called each time the count drops to 0. */
  onIdle: (() => void) | undefined;
  #count = 0;
  #standing = 0;

  /** The number of items under way. */
  get count(): number {
    return this.#count;
  }

  /** The number of those items that are permanent, such as a listener: they are no sign of use. */
  get standing(): number {
    return this.#standing;
  }

  /**
   * Counts one item.
   *
   * @param options `standing`: whether the item is permanent.
   * @returns Ends the item; a second call does nothing.
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

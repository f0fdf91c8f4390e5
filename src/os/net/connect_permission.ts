/**
 * Who can connect to a listener, and what the connections are like.
 *
 * @module
 */

/** Who can connect to a listener, as far as the listener itself decides it, and what with. */
export interface Admission {
  /** Whether it has a filter. */
  readonly filtered: boolean;
  /** The options in which it differs from a new socket, as `listener_options.ts` has them. */
  readonly options: readonly string[];
}

/**
 * The type of a listener's filter and options, which decide which clients can connect and how.
 *
 * @module
 */

/** The filter and the options of a listener. */
export interface Admission {
  /** Whether it has a filter, or keys. */
  readonly filtered: boolean;
  /** The options that differ from a new socket, in the form of `listener_options.ts`. */
  readonly options: readonly string[];
}

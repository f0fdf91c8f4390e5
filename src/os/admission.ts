/**
 * Who can connect to a listener.
 *
 * @module
 */

/** Who can connect to a listener, as far as the listener itself decides it. */
export interface Admission {
  /** Whether it has a filter. */
  readonly filtered: boolean;
  /** The values of the options that `listener_damage.ts` names, in their order. */
  readonly options: readonly number[];
}

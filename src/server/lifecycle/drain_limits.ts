/**
 * Time limits for idle connections while a server drains.
 *
 * @module
 */

/** A connection without traffic in either direction for this long is idle. */
export const QUIET_MS = 1_000;

/**
 * The same limit for a connection on which a request may have begun, and the limit for a TLS handshake
 * that was under way at the stop.
 */
export const UNSURE_MS = 5_000;

/**
 * How long a connection is kept while its server drains.
 *
 * @module
 */

/** A connection over which nothing has gone for this long, in either direction, is idle. */
export const QUIET_MS = 1_000;

/**
 * Where it can't be told whether a request has begun on a connection, it is idle after this time only. It
 * is also what a TLS handshake may take that had not ended at the stop.
 */
export const UNSURE_MS = 5_000;

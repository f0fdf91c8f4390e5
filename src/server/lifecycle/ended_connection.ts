/**
 * Errors of reads and writes on a connection that has ended.
 *
 * @module
 */

/** The codes of node:net's errors for a disconnected client, which have no class of their own. */
const GONE_CODES: ReadonlySet<unknown> = new Set([
  "EPIPE",
  "ECONNRESET",
  "ECONNABORTED",
  "ENOTCONN",
]);

/** Whether an error means that the client has disconnected, which is no fault of the server. */
export function isPeerGone(error: unknown): boolean {
  if (error instanceof Error && "code" in error && GONE_CODES.has(error.code)) return true;
  const { BrokenPipe, ConnectionReset, ConnectionAborted, NotConnected, UnexpectedEof } =
    Deno.errors;
  // The last one: after a TLS handshake, without close_notify.
  return [BrokenPipe, ConnectionReset, ConnectionAborted, NotConnected, UnexpectedEof]
    .some((gone) => error instanceof gone);
}

/** Whether an error means that this side has closed the connection: before the call, or during it. */
export function isClosedHere(error: unknown): boolean {
  const { BadResource, Interrupted } = Deno.errors;
  return error instanceof BadResource || error instanceof Interrupted;
}

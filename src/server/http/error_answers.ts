/**
 * The responses that stand in for a handler: to clients that are rejected for lack of descriptors, and where
 * the error handler fails too.
 *
 * @module
 */

/** The response to a request that finds no free descriptor. */
const UNAVAILABLE = new TextEncoder().encode(
  "HTTP/1.1 503 Service Unavailable\r\n" +
    "Connection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
);

/** Returns the response to a rejected client; undefined if `sent` is no HTTP/1 request. */
export function unavailable(sent: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const isRequest = /^[A-Z]+ [^\r\n]+ HTTP\/1\.[01]\r\n/.test(new TextDecoder().decode(sent));
  return isRequest ? UNAVAILABLE : undefined;
}

const INTERNAL_SERVER_ERROR = new TextEncoder().encode("Internal Server Error");

/** The response to a request whose handlers have failed. */
export function internalServerError(): Response {
  return new Response(INTERNAL_SERVER_ERROR, { status: 500 });
}

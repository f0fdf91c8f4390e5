/**
 * The 503 response to clients that are rejected for lack of descriptors.
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

/**
 * What a server of HTTP tells clients that it has no descriptor for.
 *
 * @module
 */

/** What a client is told that has sent a request and finds no descriptor free. */
const UNAVAILABLE = new TextEncoder().encode(
  "HTTP/1.1 503 Service Unavailable\r\n" +
    "Connection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
);

/**
 * The answer to a client that is turned away.
 *
 * @param sent What it has sent so far.
 * @returns The answer; undefined where that is no request of HTTP/1.
 */
export function unavailable(sent: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const isRequest = /^[A-Z]+ [^\r\n]+ HTTP\/1\.[01]\r\n/.test(new TextDecoder().decode(sent));
  return isRequest ? UNAVAILABLE : undefined;
}

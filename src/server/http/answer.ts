/**
 * Tests and changes of a handler's response.
 *
 * @module
 */

/** Whether a value is a promise or any other thenable. */
export function isThenable(answer: unknown): boolean {
  return typeof (answer as PromiseLike<unknown> | undefined)?.then === "function";
}

/** Returns the status of a valid response; 0 for any value that the runtime refuses. */
export function statusOf(answer: unknown): number {
  if (!(answer instanceof Response)) return 0;
  try {
    return answer.bodyUsed ? 0 : answer.status;
  } catch {
    // An object of the class that its constructor has not created.
    return 0;
  }
}

/** The parts of a request that its last response depends on; undefined if they are unknown. */
export type LastRequest = Pick<Request, "method" | "headers"> | undefined;

/**
 * Makes a response tell the client to close the connection (RFC 9112, section 9.6).
 *
 * The runtime sends `keep-alive` to an HTTP/1.0 client that has asked for it, whatever the response says,
 * unless the length of the body is unknown. So a client that is or may be of that kind gets a stream, after
 * which the runtime closes the connection.
 */
export function lastAnswer(response: Response, request: LastRequest): Response {
  if (statusOf(response) === 0) return response;
  if (mayBeKeptAlive(request) && response.body !== null) {
    const headers = new Headers(response.headers);
    headers.set("connection", "close");
    headers.delete("content-length");
    const { status, statusText } = response;
    const body = response.body.pipeThrough(new TransformStream());
    return new Response(body, { status, statusText, headers });
  }
  try {
    response.headers.set("connection", "close");
    return response;
  } catch {
    // The headers of a redirection or of a response from `fetch` are immutable.
    const last = new Response(response.body, response);
    last.headers.set("connection", "close");
    return last;
  }
}

function mayBeKeptAlive(request: LastRequest): boolean {
  if (request === undefined) return true;
  return request.method !== "HEAD" && /keep-alive/i.test(request.headers.get("connection") ?? "");
}

/**
 * What a handler of HTTP returns: an answer, or something that the runtime will refuse.
 *
 * @module
 */

/** Whether something is a promise, also one of another making, which counts as one. */
export function isThenable(answer: unknown): boolean {
  return typeof (answer as PromiseLike<unknown> | undefined)?.then === "function";
}

/** The status of an answer that can be sent; 0 for whatever the runtime will refuse. */
export function statusOf(answer: unknown): number {
  if (!(answer instanceof Response)) return 0;
  try {
    return answer.bodyUsed ? 0 : answer.status;
  } catch {
    // Of that class, and not made by its constructor.
    return 0;
  }
}

/** An answer that tells the client to close the connection (RFC 9112, section 9.6). */
export function lastAnswer(response: Response): Response {
  if (statusOf(response) === 0) return response;
  try {
    response.headers.set("connection", "close");
    return response;
  } catch {
    // A redirection, and what `fetch` has got: their headers can't be changed.
    const last = new Response(response.body, response);
    last.headers.set("connection", "close");
    return last;
  }
}

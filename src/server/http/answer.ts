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

/** What is to be known of a request for its last answer; undefined where nothing is known of it. */
export type LastRequest = Pick<Request, "method" | "headers"> | undefined;

/**
 * An answer that tells the client to close the connection (RFC 9112, section 9.6).
 *
 * The runtime says `keep-alive` to a client of HTTP/1.0 that has asked for it, whatever the answer says,
 * unless it can't tell the length of the body: so such a client, or one that may be of that kind, gets a
 * stream. Behind that the runtime closes the connection by itself.
 *
 * @param response The answer.
 * @param request What it answers.
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
    // A redirection, and what `fetch` has got: their headers can't be changed.
    const last = new Response(response.body, response);
    last.headers.set("connection", "close");
    return last;
  }
}

function mayBeKeptAlive(request: LastRequest): boolean {
  if (request === undefined) return true;
  return request.method !== "HEAD" && /keep-alive/i.test(request.headers.get("connection") ?? "");
}

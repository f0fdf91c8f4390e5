/**
 * The HTTP version of a request, which the runtime does not tell a handler.
 *
 * @module
 */

/** The runtime's callers of a handler in a stack trace: the first for HTTP/1 only, the second for the rest. */
const HTTP1_CALLER = /\bnativeDispatch\b/, OTHER_CALLER = /\bdispatch \(ext:deno_http\b/;

/** The number of stack frames to search. */
const DEPTH = 12;

/**
 * Whether a request has come over HTTP/2. Must be called within the call of the handler, before anything is
 * awaited; it takes a few microseconds.
 *
 * The runtime calls handlers from one function for HTTP/1, and from another for HTTP/2 and for upgrades,
 * which HTTP/2 does not have. Header fields prove nothing: `host` may be in both (RFC 9113, section 8.3.1).
 * If the callers are unknown, `host` decides.
 */
export function isHttp2(request: Request): boolean {
  const callers = callersOf();
  if (HTTP1_CALLER.test(callers) || request.headers.has("upgrade")) return false;
  return OTHER_CALLER.test(callers) || !request.headers.has("host");
}

function callersOf(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = DEPTH;
  const { stack } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  // The program may format stacks in its own way.
  return typeof stack === "string" ? stack : "";
}

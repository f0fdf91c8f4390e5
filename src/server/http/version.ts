/**
 * Over which version of HTTP a request has come, of which the runtime tells a handler nothing.
 *
 * @module
 */

/** How the runtime calls what calls a handler: the first for HTTP/1 alone, the second for the rest. */
const HTTP1_CALLER = /\bnativeDispatch\b/, OTHER_CALLER = /\bdispatch \(ext:deno_http\b/;

/** So many callers are looked through. */
const DEPTH = 12;

/**
 * Whether a request has come over HTTP/2. To be asked in the call of the handler itself, before
 * anything is awaited; it takes a few microseconds.
 *
 * The runtime has one way to call handlers for HTTP/1 and another one for HTTP/2 and for upgrades, which
 * HTTP/2 does not have. Header fields tell nothing for certain: `host` may be there in both (RFC 9113,
 * section 8.3.1). Where the callers are others than those known here, `host` is what is left.
 *
 * @param request The request.
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
  // The program may have its own way to write stacks.
  return typeof stack === "string" ? stack : "";
}

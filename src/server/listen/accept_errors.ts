/**
 * Errors of accept(2) that say nothing about the listener.
 *
 * @module
 */

/** Errors that concern only the connection that was to be accepted (accept(2)). */
const CONNECTION_ERRORS: ReadonlySet<string> = new Set([
  "ENOTCONN",
  "ECONNABORTED",
  "ECONNRESET",
  "ETIMEDOUT",
  "EINTR",
  "EPERM",
  "EPROTO",
  "ENETDOWN",
  "ENOPROTOOPT",
  "EHOSTDOWN",
  "ENONET",
  "EHOSTUNREACH",
  "EOPNOTSUPP",
  "ENETUNREACH",
]);

/**
 * Whether an error concerns only the connection that was to be accepted: the next one may be tried at
 * once.
 *
 * @param error What accept has failed with.
 */
export function concernsConnection({ code }: Error & { readonly code?: string }): boolean {
  return code !== undefined && CONNECTION_ERRORS.has(code);
}

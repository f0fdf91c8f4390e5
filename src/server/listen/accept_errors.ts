/**
 * The errors of accept(2) that concern one connection and not the listener.
 *
 * @module
 */

/** The codes of these errors (accept(2)). */
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

/** Whether an error of accept concerns only that connection: the next accept may follow at once. */
export function concernsConnection({ code }: Error & { readonly code?: string }): boolean {
  return code !== undefined && CONNECTION_ERRORS.has(code);
}

/**
 * Which requests may upgrade their connection.
 *
 * @module
 */

/** The runtime's internal request: checked before use. */
interface InnerRequest {
  /** Reads one field of the header; null without it. */
  readonly header?: unknown;
}

/** The key of the internal request; undefined in a version without it. */
const innerKey = Object.getOwnPropertySymbols(new Request("http://localhost/"))
  .find(({ description }) => description === "request") as keyof Request | undefined;

/**
 * Whether a handler may upgrade the connection of a request. `Deno.upgradeWebSocket` takes no request without the field
 * `Upgrade`. Here `request.headers` would create an object of all fields. In a runtime with other internals, the result
 * is true.
 */
export function mayUpgrade(request: Request): boolean {
  if (innerKey === undefined) return true;
  const inner = request[innerKey] as unknown as InnerRequest | undefined;
  return typeof inner?.header !== "function" || inner.header("upgrade") !== null;
}

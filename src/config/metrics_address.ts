/**
 * The address of `metrics`.
 *
 * @module
 */
import { parseAddress } from "./address.ts";
import { cannot } from "./errors.ts";

/** The form of a `metrics`. */
export const METRICS_FORM =
  "an address such as 127.0.0.1:9100, [::1]:9100 or the path of a unix socket";

/**
 * Reads a `metrics`.
 *
 * @param text The value.
 * @returns The same text, which is one address of a `server-service`.
 * @throws {TypeError} When it is anything else.
 * @throws {RangeError} When a port or the length of a path is out of range.
 */
export function parseMetricsAddress(text: string): string {
  const refuse = (found: string): never => {
    throw new TypeError(cannot("read", text, { found, expected: METRICS_FORM }));
  };
  if (/[;,\s]/.test(text)) return refuse("a separator, so more than one address");
  if (text.includes("://")) return refuse("a name before the address");
  if (parseAddress(text, { cwd: "/" }).kind === "fifo") return refuse("a named pipe");
  return text;
}

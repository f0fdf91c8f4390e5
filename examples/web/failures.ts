/**
 * What goes wrong while the board serves, in the log.
 *
 * @module
 */
import { zerror } from "@zc/master/serve";

/** What the driver and PostgreSQL say when there is no connection, or none any more. */
const AWAY = new Set([
  ...["ECONNREFUSED", "ECONNRESET", "ENOENT", "CONNECT_TIMEOUT"],
  ...["CONNECTION_CLOSED", "CONNECTION_DESTROYED", "CONNECTION_ENDED", "57P01", "57P02", "57P03"],
]);

/** Each request fails while the database is away: one line in this time will do. */
const PAUSE_MS = 60_000;

let toldAtMs = -Infinity;

/**
 * Logs a failure.
 *
 * @param what What has failed.
 * @param error Why.
 */
export function logFailure(what: string, error: Error & { readonly code?: string }): void {
  if (!AWAY.has(error.code ?? "")) return zerror(`${what}:`, error);
  if (performance.now() - toldAtMs < PAUSE_MS) return;
  toldAtMs = performance.now();
  zerror(`Cannot reach the database: ${error.message}; requests are answered 503 until it is back`);
}

/**
 * Logging of unhandled errors: rejected promises that a handler has not awaited, and exceptions in
 * callbacks. By default the runtime ends the process for them, and with it every connection.
 *
 * @module
 */
import { logLine, zdebug } from "../../log/log.ts";
import { closeQuietly } from "../lifecycle/connection_set.ts";
import { currentlyServed } from "../lifecycle/served.ts";
import { isClosedHere, isPeerGone } from "../lifecycle/ended_connection.ts";

/**
 * Logs such errors from now on and lets the process continue. The connection of a rejection is closed, where it is
 * known. A connection that has ended closes no other one: a handler may write to the clients of others.
 *
 * @param services The names of the services, for the log.
 * @returns Restores the runtime's behaviour.
 */
export function logUnhandledErrors(services: readonly string[]): () => void {
  const placeOf = (names: readonly string[]) =>
    names.length === 0 ? "" : ` (service ${names.join(", ")})`;
  const where = placeOf(services);
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    const served = currentlyServed(), { reason } = event;
    if (served === undefined) {
      return logLine("error", `unhandled rejection${where}, is an await missing?`, reason);
    }
    // Nothing is left to close, and no client may fill the log.
    if (served.conn !== undefined && (isPeerGone(reason) || isClosedHere(reason))) {
      return zdebug("a connection has ended, and nothing handles that:", reason);
    }
    const text = `unhandled rejection${placeOf([served.service])}, is an await missing?`;
    if (served.conn === undefined) return logLine("error", text, reason);
    logLine("error", `${text} Its connection is closed:`, reason);
    closeQuietly(served.conn);
  };
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    // The runtime keeps no context for it.
    logLine("error", `uncaught error${where}:`, event.error);
  };
  addEventListener("unhandledrejection", onRejection);
  addEventListener("error", onError);
  return () => {
    removeEventListener("unhandledrejection", onRejection);
    removeEventListener("error", onError);
  };
}

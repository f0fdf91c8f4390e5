/**
 * Logging of unhandled errors: rejected promises that a handler has not awaited, and exceptions in
 * callbacks. By default the runtime ends the process for them, and with it every connection.
 *
 * @module
 */
import { logLine } from "../../log/log.ts";
import { closeQuietly, currentConnection } from "../lifecycle/current_connection.ts";

/**
 * Logs such errors from now on and lets the process continue. The connection of a rejection is closed, where it is
 * known.
 *
 * @param services The names of the services, for the log.
 * @returns Restores the runtime's behaviour.
 */
export function logUnhandledErrors(services: readonly string[]): () => void {
  const where = services.length === 0 ? "" : ` (service ${services.join(", ")})`;
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    const conn = currentConnection();
    const ended = conn === undefined ? "" : " Its connection is closed:";
    logLine("error", `unhandled rejection${where}, is an await missing?${ended}`, event.reason);
    if (conn !== undefined) closeQuietly(conn);
  };
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    logLine("error", `uncaught error${where}:`, event.error);
  };
  addEventListener("unhandledrejection", onRejection);
  addEventListener("error", onError);
  return () => {
    removeEventListener("unhandledrejection", onRejection);
    removeEventListener("error", onError);
  };
}

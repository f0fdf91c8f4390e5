/**
 * Unhandled errors: rejected promises that a handler has not awaited, and exceptions in callbacks. By
 * default the runtime ends the process for them, and with it every connection. A server that serves
 * logs them instead; before that, and in an unchanged program, its master learns what they are.
 *
 * @module
 */
import { UNCAUGHT_MARK } from "../../log/formats.ts";
import { logLine, zdebug } from "../../log/log.ts";
import { writeOutput } from "../../log/outputs.ts";
import { closeQuietly } from "../lifecycle/connection_set.ts";
import { currentlyServed } from "../lifecycle/served.ts";
import { isClosedHere, isPeerGone } from "../lifecycle/ended_connection.ts";

/** Whether they are logged. */
let areLogged = false;

/**
 * Marks the runtime's message about an error that ends this process, for the master that reads it. The
 * program may still handle the error: then no such message follows the mark, and the master drops it.
 */
export function markUncaughtErrors(): void {
  const mark = (event: Event) => {
    if (areLogged || event.defaultPrevented) return;
    writeOutput("stderr", new TextEncoder().encode(UNCAUGHT_MARK));
  };
  addEventListener("error", mark);
  addEventListener("unhandledrejection", mark);
}

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
  areLogged = true;
  return () => {
    areLogged = false;
    removeEventListener("unhandledrejection", onRejection);
    removeEventListener("error", onError);
  };
}

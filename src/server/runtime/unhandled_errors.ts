/**
 * Errors without a handler: of a promise that a handler has not waited for, or thrown in a callback. By
 * itself the runtime ends the process for them, and with it every connection of every client.
 *
 * @module
 */
import { zinfoFrom } from "../../log/log.ts";

/**
 * Logs such errors from now on, and lets the process go on.
 *
 * @param services What the server serves, for the log.
 * @returns Leaves them to the runtime again.
 */
export function logUnhandledErrors(services: readonly string[]): () => void {
  const where = services.length === 0 ? "" : ` (service ${services.join(", ")})`;
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    zinfoFrom(undefined, `unhandled rejection${where}, is an await missing?`, event.reason);
  };
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    zinfoFrom(undefined, `uncaught error${where}:`, event.error);
  };
  addEventListener("unhandledrejection", onRejection);
  addEventListener("error", onError);
  return () => {
    removeEventListener("unhandledrejection", onRejection);
    removeEventListener("error", onError);
  };
}

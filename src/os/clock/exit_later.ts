/**
 * A limit for a process that ends by itself.
 *
 * @module
 */

/** Ends the process after a time, unless it has ended before; it does not keep the process running until then. */
export function exitLater(delayMs: number): void {
  // The clock's own timers keep the process running.
  Deno.unrefTimer(setTimeout(() => Deno.exit(), delayMs));
}

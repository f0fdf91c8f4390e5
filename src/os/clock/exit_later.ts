/**
 * Timers of a process that ends by itself, which do not keep it running until then.
 *
 * @module
 */

/** Ends the process after a time, unless it has ended before. */
export function exitLater(delayMs: number): void {
  // The clock's own timers keep the process running.
  Deno.unrefTimer(setTimeout(() => Deno.exit(), delayMs));
}

/** Calls back after a time, unless the process has ended before. */
export function callLater(delayMs: number, callback: () => void): void {
  Deno.unrefTimer(setTimeout(callback, delayMs));
}

/** Calls back again and again until the process ends. */
export function repeatUntilEnd(everyMs: number, callback: () => void): void {
  Deno.unrefTimer(setInterval(callback, everyMs));
}

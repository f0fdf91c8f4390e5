/**
 * A pending operation that keeps the runtime running.
 *
 * @module
 */

/**
 * Keeps the runtime running without a client, a timer or a child process; signal listeners do not.
 *
 * It waits for a message that is never sent, which needs no timer and never wakes the process up.
 *
 * @returns Lets the runtime end. A second call does nothing.
 */
export function keepRunning(): () => void {
  const { port1 } = new MessageChannel();
  port1.onmessage = () => {};
  return () => port1.close();
}

/**
 * Keeping the runtime going while there is nothing that it waits for.
 *
 * @module
 */

/**
 * Keeps the runtime from ending, though no client, no timer and no process is there to wait for:
 * signals alone don't.
 *
 * It waits for a message that nobody sends, which costs no timer and never wakes the process up.
 *
 * @returns Lets the runtime end. Harmless the second time.
 */
export function keepRunning(): () => void {
  const { port1 } = new MessageChannel();
  port1.onmessage = () => {};
  return () => port1.close();
}

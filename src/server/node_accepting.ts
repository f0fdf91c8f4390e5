/**
 * Keeps a server of node:net accepting. At the first lack of descriptors the runtime ends its
 * accepting for good, without a word; to listen once more on the same handle begins it again, and does
 * nothing where it goes on. For unix sockets the runtime refuses that, and there is no other way.
 *
 * @module
 */
import type { Server } from "node:net";

/** How long connections wait in the queue at most, once there are descriptors again. */
const AGAIN_MS = 1000;

/** The runtime listens on the descriptor that it was given already, and changes nothing of its queue. */
const BACKLOG = 65_535;

/** What a server keeps to itself: checked before it is used. */
interface Inner {
  readonly _handle?: { readonly listen?: (backlog: number) => number } | null;
}

/**
 * Looks after a server.
 *
 * @param server One that listens, or is about to.
 * @returns Ends it; to be called when the server is closed.
 */
export function keepAccepting(server: Server): () => void {
  const timer = setInterval(() => (server as Inner)._handle?.listen?.(BACKLOG), AGAIN_MS);
  return () => clearInterval(timer);
}

/**
 * The poller of a server process, which watches its worker socket, its named pipes, and the connections that are
 * served as descriptors.
 *
 * @module
 */
import { zdebug, zerror } from "../../log/log.ts";
import { openLoopWait } from "../../os/adopt/loop_wait.ts";
import { type EpollWait, Poller } from "../../os/fd/poller.ts";

/** The poller of this process; it runs only while a descriptor is watched. */
export const serverPoller: Poller = new Poller((error) => zerror("unexpected error:", error));

/** Prepares the poller for connections; fulfilled when all that it needs is open. Later calls change nothing. */
export function prepareForConnections(): Promise<void> {
  return serverPoller.waitBy(openWait);
}

async function openWait(epoll: number): Promise<EpollWait | undefined> {
  try {
    return await openLoopWait(epoll);
  } catch (error) {
    // It is slower then, and works.
    zdebug("a thread goes on waiting for connections:", error);
    return undefined;
  }
}

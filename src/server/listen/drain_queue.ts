/**
 * The queue of a listener that nobody serves any more after this server: what waits in it is accepted
 * before the listener is closed, since the kernel resets it then.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { queueEmpties } from "../../os/net/accept_queue.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";

/** How long a handshake may take that was under way when the queue was closed to new ones. */
const SETTLE_MS = 100;

/** When to give up, with a program that does not accept. */
const LONGEST_MS = 2_000;

/**
 * Closes a listener, now or when its queue has been served; a server that drains waits for that.
 *
 * @param close Closes it.
 * @param options `last`: whether nobody serves it any more. `fd`: a descriptor of it, open until
 * `close` is called; borrowed, and undefined where it is not known.
 */
export function closeServed(
  close: () => void,
  { last, fd }: { readonly last: boolean; readonly fd?: number },
): void {
  if (!last) return close();
  const finished = serverLifecycle.activity.begin({ standing: true });
  served(fd).catch((error) => {
    // Somebody has closed it meanwhile.
    zdebug("a queue can't be looked at any more:", error);
  }).finally(() => {
    close();
    finished();
  });
}

async function served(fd: number | undefined): Promise<void> {
  if (fd !== undefined && mayUseFfi()) {
    await queueEmpties(fd, { settleMs: SETTLE_MS, withinMs: LONGEST_MS });
  } else await new Promise<void>((resolve) => systemClock.setTimer(SETTLE_MS, resolve));
}

/**
 * Closing a listener that no process serves afterwards: the pending connections in its queue are
 * accepted first, since the kernel resets them on close.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { backend } from "../backend/chosen.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";

/** The time limit for handshakes that were under way when the queue was closed to new ones. */
const SETTLE_MS = 100;

/** The time limit for a program that does not accept. */
const LONGEST_MS = 2_000;

/**
 * Closes a listener, at once or when its queue is empty; a draining server waits for that.
 *
 * @param close Closes it.
 * @param options `last`: whether no other process serves it. `fd`: a borrowed descriptor of it, open
 * until `close` is called; undefined if not known.
 */
export function closeServed(
  close: () => void,
  { last, fd }: { readonly last: boolean; readonly fd?: number },
): void {
  if (!last) return close();
  const finished = serverLifecycle.activity.begin({ standing: true });
  backend().queueEmpties(fd, { settleMs: SETTLE_MS, withinMs: LONGEST_MS }).catch((error) => {
    // The descriptor was closed meanwhile.
    zdebug("a queue can't be looked at any more:", error);
  }).finally(() => {
    close();
    finished();
  });
}

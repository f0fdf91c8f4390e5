/**
 * Pollers in tests.
 *
 * @module
 */
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { EPOLLOUT, type Poller } from "../../src/os/fd/poller.ts";
import { socketPair } from "../../src/os/net/socket.ts";
import { within } from "./wait.ts";

/**
 * Waits until a poller has told of all that is ready by now: a later event comes in a later turn.
 *
 * @param poller The poller.
 * @param arrange Called from the poller: what becomes ready in it is told of in one batch.
 */
export async function turn(poller: Poller, arrange: () => void = () => {}): Promise<void> {
  const [one, two] = socketPair();
  const told = Promise.withResolvers<void>();
  const watch = poller.watch(one, EPOLLOUT, () => {
    watch.modify(0);
    arrange();
    told.resolve();
  });
  await within(told.promise, { what: "an event" });
  watch.stop();
  closeFd(one);
  closeFd(two);
}

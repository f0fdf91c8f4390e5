/**
 * The wait of a start for addresses in use: the servers of a killed master may live for up to two
 * seconds more.
 *
 * @module
 */
import { zwarn } from "../log/log.ts";
import { delay, systemClock } from "../os/clock/clock.ts";
import { isAddressInUse } from "../os/net/open_listener.ts";
import { AddressesInUseError } from "./listeners/open_error.ts";

/** How long a start waits for addresses in use, and how often it tries again. */
const WAIT_MS = 2_000, LOOK_MS = 50;

/**
 * Opens listeners, and tries again for a while if addresses in use are the only problem.
 *
 * @param open Opens them.
 * @param isStopping Whether the master is told to stop.
 * @returns The result; undefined if the master is told to stop meanwhile.
 * @throws Any other error, and {@linkcode AddressesInUseError} at the end of the time.
 */
export async function openWhenFree<T>(
  open: () => T,
  isStopping: () => boolean,
): Promise<T | undefined> {
  // From the first error on: to find who has the addresses may take long on a busy machine.
  for (let endMs: number | undefined;;) {
    try {
      return open();
    } catch (error) {
      const isFirst = endMs === undefined, nowMs = systemClock.nowMs();
      endMs ??= nowMs + WAIT_MS;
      if (!(error instanceof AddressesInUseError) || nowMs >= endMs) throw error;
      if (isFirst) zwarn(`waiting for up to ${WAIT_MS / 1000} s: ${error.message}`);
      do {
        await delay(LOOK_MS);
        if (isStopping()) return undefined;
      } while (error.addresses.some(isAddressInUse) && systemClock.nowMs() < endMs);
    }
  }
}

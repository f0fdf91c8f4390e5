/**
 * Removal of TLS connections that were closed before their handshake had ended. The runtime keeps such a
 * connection until its client sends data or disconnects, and a client that does neither would hold the
 * descriptor for ever.
 *
 * @module
 */
import { systemClock } from "../../os/clock/clock.ts";
import { cutConnections, type Ends } from "../../os/net/connections.ts";
import { isOutOfDescriptors, reserveDescriptor } from "../../os/fd/reserve_fd.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";

/** The time for the runtime to close a connection itself. All that are added meanwhile are cut together. */
const CUT_MS = 1_000;

let leftovers: Ends[] = [];

/** Cuts a connection soon that was closed or is being closed. */
export function cutSoon({ localAddr, remoteAddr }: Deno.TlsConn): void {
  // On a unix socket node:tls closes the connection without help.
  if (remoteAddr.transport !== "tcp") return;
  if (leftovers.length === 0) systemClock.setTimer(CUT_MS, cut);
  leftovers.push({ local: textOf(localAddr), peer: textOf(remoteAddr) });
}

function cut(): void {
  const all = leftovers;
  leftovers = [];
  // The program may have given up FFI since.
  if (!mayUseFfi()) return;
  try {
    // The look at the open descriptors needs one itself.
    reserveDescriptor.lend(() => cutConnections(all));
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error;
    leftovers.unshift(...all);
    systemClock.setTimer(CUT_MS, cut);
  }
}

function textOf({ hostname, port }: Deno.NetAddr): string {
  return `${hostname}:${port}`;
}

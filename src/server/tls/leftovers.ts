/**
 * Connections over TLS that were closed before their handshake was done. The runtime keeps such a one
 * until its client speaks or goes, so that one which does neither would hold its descriptor for
 * ever.
 *
 * @module
 */
import { systemClock } from "../../os/clock/clock.ts";
import { cutConnections, type Ends } from "../../os/net/connections.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";

/** How long the runtime has to close a connection itself. All that come meanwhile are cut at once. */
const CUT_MS = 1_000;

let leftovers: Ends[] = [];

/**
 * Sees to it that a connection ends soon.
 *
 * @param conn The connection, which was closed or is closed now.
 */
export function cutSoon({ localAddr, remoteAddr }: Deno.TlsConn): void {
  // On a unix socket it is node:tls that closes, and it needs no help.
  if (remoteAddr.transport !== "tcp") return;
  if (leftovers.length === 0) systemClock.setTimer(CUT_MS, cut);
  leftovers.push({ local: textOf(localAddr), peer: textOf(remoteAddr) });
}

function cut(): void {
  const all = leftovers;
  leftovers = [];
  // Without FFI node:tls does it all, and closes what it is told to close. Asked now: the program may
  // have given FFI up since.
  if (mayUseFfi()) cutConnections(all);
}

function textOf({ hostname, port }: Deno.NetAddr): string {
  return `${hostname}:${port}`;
}

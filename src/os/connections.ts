/**
 * The accepted connections of this process as the kernel knows them, for those that the runtime
 * does not tell of.
 *
 * @module
 */
import { openDescriptors } from "./descriptor.ts";
import { libc } from "./libc.ts";
import { spareDescriptor } from "./spare_descriptor.ts";
import { addressText, connectedAt, type ListenAddress } from "./socket.ts";

const MSG_PEEK = 0x2, MSG_DONTWAIT = 0x40;

/** One connection. */
export interface OpenConnection {
  /** Its descriptor, which belongs to the runtime. */
  readonly fd: number;
  /** Where the client is, as `host:port`; empty for a unix socket without a name. */
  readonly peer: string;
}

/**
 * Finds the connections that were accepted at an address and are open, those that the client has
 * closed and this process has not among them.
 *
 * @param address What the listener is bound to.
 */
export function connectionsAt(address: ListenAddress): OpenConnection[] {
  const found: OpenConnection[] = [];
  for (const [fd, target] of spareDescriptor.lend(openDescriptors)) {
    const ends = target.startsWith("socket:") ? connectedAt(fd) : undefined;
    if (ends === undefined || !isAt(ends.local, address)) continue;
    found.push({ fd, peer: addressText(ends.peer) });
  }
  return found;
}

function isAt(local: ListenAddress, listening: ListenAddress): boolean {
  if (local.kind !== "inet" || listening.kind !== "inet") {
    return local.kind === listening.kind && addressText(local) === addressText(listening);
  }
  const isAny = listening.hostname === "0.0.0.0" || listening.hostname === "::";
  return local.port === listening.port && (isAny || local.hostname === listening.hostname);
}

/**
 * Whether something has arrived on a connection that its owner has not read yet.
 *
 * @param fd A connected socket. Borrowed.
 */
export function hasUnread(fd: number): boolean {
  return Number(libc().recv(fd, new Uint8Array(1), 1n, MSG_PEEK | MSG_DONTWAIT)) > 0;
}

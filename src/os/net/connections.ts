/**
 * Connections as raw descriptors, for information and actions that the runtime does not offer.
 *
 * @module
 */
import {
  AF_INET,
  IPPROTO_TCP,
  SHUT_RD,
  SHUT_RDWR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../ffi/constants.ts";
import { closeFd } from "../fd/descriptor.ts";
import { SysError } from "../ffi/errors.ts";
import { encodeInetAddress } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { listProcSelf } from "../ffi/proc_self.ts";
import { addressText, boundAddress, connectedAt, type ListenAddress } from "./socket.ts";
import { isOutOfDescriptors, reserveDescriptor } from "../fd/reserve_fd.ts";
const SO_KEEPALIVE = 9, SO_LINGER = 13;
const TCP_NODELAY = 1;
const FIONREAD = 0x541B, TIOCOUTQ = 0x5411;
const EINPROGRESS = 115;
const LOOPBACK = new Uint8Array([127, 0, 0, 1]);

/** One connection. */
export interface OpenConnection {
  /** Its descriptor, owned by the runtime. */
  readonly fd: number;
  /** The client's address as `host:port`; empty for a unix socket without a name. */
  readonly peer: string;
}

/** The connections of this process at one moment, half-closed ones included. */
export class OpenConnections {
  readonly #byPlace = new Map<string | number, { local: ListenAddress; found: OpenConnection }[]>();

  /** Reads all descriptors of the process once; afterwards each address is found by a lookup. */
  constructor() {
    // Only the numbers are needed: for any other descriptor the kernel fails at once.
    for (const fd of reserveDescriptor.lend(() => listProcSelf("fd")).map(Number)) {
      const ends = connectedAt(fd);
      if (ends === undefined) continue;
      const { local, peer } = ends, place = placeOf(local);
      const found = { local, found: { fd, peer: addressText(peer) } };
      const others = this.#byPlace.get(place);
      if (others === undefined) this.#byPlace.set(place, [found]);
      else others.push(found);
    }
  }

  /** Reads them; undefined while no descriptor is free, which the read itself needs. */
  static find(): OpenConnections | undefined {
    try {
      return new OpenConnections();
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      return undefined;
    }
  }

  /** The connections that were accepted at an address. */
  at(address: ListenAddress): OpenConnection[] {
    const all = this.#byPlace.get(placeOf(address)) ?? [];
    return all.filter(({ local }) => isAt(local, address)).map(({ found }) => found);
  }
}

/** The key of an address: the port, or the path of the socket. */
function placeOf(address: ListenAddress): string | number {
  return address.kind === "inet" ? address.port : address.path;
}

function isAt(local: ListenAddress, listening: ListenAddress): boolean {
  if (local.kind !== "inet" || listening.kind !== "inet") return local.kind === listening.kind;
  const isAny = listening.hostname === "0.0.0.0" || listening.hostname === "::";
  return isAny || local.hostname === listening.hostname;
}

/** The number of bytes that have arrived on a connected socket and were not read yet. */
export function unreadBytes(fd: number): number {
  return queuedBytes(fd, FIONREAD);
}

/**
 * The number of sent bytes that the other end has not received yet: the kernel of a TCP peer has not
 * acknowledged them, or the peer of a unix socket has not read them.
 */
export function untakenBytes(fd: number): number {
  return queuedBytes(fd, TIOCOUTQ);
}

function queuedBytes(fd: number, request: number): number {
  const count = new Int32Array(1);
  // The connection may just have been closed, which leaves nothing.
  return libc().ioctl(fd, BigInt(request), count) < 0 ? 0 : count[0];
}

/**
 * Makes the owner of a connection read an end of file after the arrived data, and close it once its
 * pending output is written.
 */
export function endReceiving(fd: number): void {
  libc().shutdown(fd, SHUT_RD);
}

/**
 * The address of one end of a TCP connection, or of a listening socket.
 *
 * @param fd Any number. Borrowed.
 * @param end This end, or the peer.
 * @returns `HOST:PORT`; undefined when the number is no TCP socket, or has no such end.
 */
export function endOf(fd: number, end: "local" | "peer"): string | undefined {
  const address = end === "local" ? boundAddress(fd) : connectedAt(fd)?.peer;
  return address?.kind === "inet" ? addressText(address) : undefined;
}

/**
 * Starts a connection to a port of 127.0.0.1, without waiting for it.
 *
 * @returns The descriptor, non-blocking, close-on-exec, owned by the caller.
 * @throws {SysError} At the limit of open files.
 */
export function connectLoopback(port: number): number {
  const fd = unwrap(
    { syscall: "socket" },
    () => libc().socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
  );
  const address = encodeInetAddress(LOOPBACK, port);
  try {
    unwrap(
      { syscall: "connect", subject: port },
      () => libc().connect(fd, address, address.length),
    );
  } catch (error) {
    if (error instanceof SysError && error.errno === EINPROGRESS) return fd;
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Closes a connection with a reset, so that neither end keeps its port busy (TIME_WAIT, tcp(7)). */
export function resetConnection(fd: number): void {
  // Lingering for 0 seconds makes close(2) send a reset (socket(7)).
  const linger = new Int32Array([1, 0]);
  libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, linger.byteLength);
  closeFd(fd);
}

/**
 * Sets TCP_NODELAY on a connection, or on a listener for its future connections (tcp(7)). In TLS each side
 * writes several times before the other one may answer, and each time the kernel would wait up to 40 ms for
 * more data.
 */
export function sendAtOnce(fd: number): void {
  setNoDelay(fd, true);
}

/** Sets or clears TCP_NODELAY (tcp(7)). */
export function setNoDelay(fd: number, on: boolean): void {
  // Only speed depends on it, and a unix socket does not have the option.
  libc().setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, new Int32Array([Number(on)]), 4);
}

/** Has the kernel test whether the peer is still there (SO_KEEPALIVE, socket(7)). */
export function setKeepAlive(fd: number, on: boolean): void {
  libc().setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, new Int32Array([Number(on)]), 4);
}

/** The two ends of a connection, each as `HOST:PORT`. */
export interface Ends {
  readonly local: string;
  readonly peer: string;
}

/** Shuts down connections by their addresses: the next read finds an end of file. Closed ones are skipped. */
export function cutConnections(all: Iterable<Ends>): void {
  const wanted = new Set(Array.from(all, ({ local, peer }) => `${local} ${peer}`));
  for (const name of listProcSelf("fd")) {
    const fd = Number(name), peer = endOf(fd, "peer");
    if (peer === undefined || !wanted.has(`${endOf(fd, "local")} ${peer}`)) continue;
    // It may just have been closed, which is fine.
    libc().shutdown(fd, SHUT_RDWR);
  }
}

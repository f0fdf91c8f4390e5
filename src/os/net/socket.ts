/**
 * Sockets as raw descriptors: their addresses, accepting, and the socket pairs and pipes between processes.
 *
 * Every descriptor is close-on-exec from its creation on, and owned by the caller of the function that
 * returns it.
 *
 * @module
 */
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_IPV6,
  O_CLOEXEC,
  SHUT_RDWR,
  SO_ACCEPTCONN,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../ffi/constants.ts";
import { isPipe, O_WRONLY } from "../fd/descriptor.ts";
import { decodeAddress, SOCKADDR_BYTES } from "../ffi/layout.ts";
import { cString, libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";
import { isHungUp } from "../fd/poller.ts";
import { procSelfLink, readLinkProcSelf } from "../ffi/proc_self.ts";
import { getIntOption } from "./socket_options.ts";

/** The option of a socket that accepts IPv6 connections only (ipv6(7)). */
export const IPV6_V6ONLY = 26;

/** More than any kernel grants: listen(2) lowers it to net.core.somaxconn. */
const LARGEST_BACKLOG = 65_535;

/** The three types of service endpoint, as LIB-ZC names them. */
export type FdType = "inet" | "unix" | "fifo";

/** The address of a listener. */
export type ListenAddress =
  | { readonly kind: "inet"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "fifo"; readonly path: string };

/**
 * Accepts the next connection of a listener (accept(2)).
 *
 * @param fd The listening socket, non-blocking. Borrowed.
 * @returns The connection, non-blocking, close-on-exec and owned by the caller; undefined when none is
 * pending.
 * @throws {SysError} When no descriptor is free, or the connection is gone already.
 */
export function acceptFd(fd: number): number | undefined {
  return unwrapOrBlock(
    { syscall: "accept4", subject: fd },
    () => libc().accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC),
  );
}

/**
 * A connected pair of stream sockets, both close-on-exec (socketpair(2)).
 *
 * @returns The two descriptors, owned by the caller.
 * @throws {SysError} At the limit of open files.
 */
export function socketPair(): [number, number] {
  const pair = new Int32Array(2);
  unwrap(
    { syscall: "socketpair" },
    () => libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
  );
  return [pair[0], pair[1]];
}

/**
 * Shuts down a connection in both directions; the descriptor stays open, and the arrived data can still be
 * read, up to an end of file (shutdown(2)).
 *
 * @throws {SysError} When it is not connected.
 */
export function shutdownSocket(fd: number): void {
  unwrap({ syscall: "shutdown", subject: fd }, () => libc().shutdown(fd, SHUT_RDWR));
}

/**
 * Returns a TCP socket to its state before it listened or was connected; its address stays (connect(2),
 * AF_UNSPEC).
 *
 * @throws {SysError} When it is no TCP socket.
 */
export function disconnectSocket(fd: number): void {
  const nowhere = new Uint8Array(SOCKADDR_BYTES);
  unwrap(
    { syscall: "connect", subject: fd },
    () => libc().connect(fd, nowhere, nowhere.length),
  );
}

/**
 * A pipe, both ends close-on-exec (pipe2(2)).
 *
 * @returns The read end and the write end, owned by the caller.
 * @throws {SysError} At the limit of open files.
 */
export function pipe(): [read: number, write: number] {
  const pair = new Int32Array(2);
  unwrap({ syscall: "pipe2" }, () => libc().pipe2(pair, O_CLOEXEC));
  return [pair[0], pair[1]];
}

/**
 * Opens the other end of a pipe, with an open file description of its own: a duplicate would share its flags
 * with all others.
 *
 * @param read The end to read from.
 * @throws {SysError} At the limit of open files.
 */
export function openPipeToWrite(read: number): number {
  const [directory, link] = procSelfLink(read);
  return unwrap(
    { syscall: "open", subject: read },
    () => libc().openat(directory, cString(link), O_WRONLY | O_CLOEXEC, 0),
  );
}

/**
 * Finds out the type and address of an inherited descriptor from the kernel.
 *
 * @param fd The descriptor.
 * @returns Its address and type.
 * @throws {TypeError} When it is neither a listening stream socket nor a named pipe.
 * @throws {Deno.errors.NotFound} When it is not open.
 */
export function describeListener(fd: number): ListenerDescription {
  const target = readLinkProcSelf(`fd/${fd}`);
  // A pipe without a name is of no use here.
  if (isPipe(fd) && !target.startsWith("pipe:")) return { kind: "fifo", path: target };
  if (
    !target.startsWith("socket:") ||
    getIntOption({ fd, level: SOL_SOCKET, name: SO_TYPE }) !== SOCK_STREAM ||
    getIntOption({ fd, level: SOL_SOCKET, name: SO_ACCEPTCONN }) !== 1
  ) {
    throw new TypeError(
      `Cannot serve descriptor ${fd}: ${target}, expected a listening stream socket or a named pipe`,
    );
  }
  if (isHungUp(fd)) {
    throw new TypeError(
      `Cannot serve descriptor ${fd}: ${target}, which was shut down, expected a listening stream socket`,
    );
  }
  const address = boundAddress(fd);
  if (address === undefined) {
    throw new TypeError(
      `Cannot serve descriptor ${fd}: a socket of another family, expected inet or unix`,
    );
  }
  return address;
}

/**
 * The address of a listening descriptor, for any number, which another thread may close at any moment;
 * undefined when it is no listening inet or unix socket.
 */
export function listeningAt(fd: number): ListenAddress | undefined {
  const value = new Int32Array(1), length = new Uint32Array([value.byteLength]);
  const answer = libc().getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, value, length);
  return answer === 0 && value[0] === 1 ? boundAddress(fd) : undefined;
}

/** The two ends of a connection, for any number as in {@linkcode listeningAt}; undefined if it is none. */
export function connectedAt(
  fd: number,
): { readonly local: ListenAddress; readonly peer: ListenAddress } | undefined {
  const peer = readAddress((bytes, length) => libc().getpeername(fd, bytes, length));
  const local = peer && boundAddress(fd);
  return local && { local, peer };
}

/** The address of a listening or connected socket, for any number; undefined if it has none. */
export function boundAddress(fd: number): ListenAddress | undefined {
  return readAddress((bytes, length) => libc().getsockname(fd, bytes, length));
}

function readAddress(
  call: (bytes: Uint8Array<ArrayBuffer>, length: Uint32Array<ArrayBuffer>) => number,
): ListenAddress | undefined {
  const bytes = new Uint8Array(SOCKADDR_BYTES), length = new Uint32Array([bytes.length]);
  if (call(bytes, length) !== 0) return undefined;
  return decodeListenAddress(bytes.subarray(0, length[0]));
}

/** An address as the system fills it in; undefined if it is of another family. */
export function decodeListenAddress(bytes: Uint8Array<ArrayBuffer>): ListenAddress | undefined {
  const raw = decodeAddress(bytes);
  switch (raw.family) {
    case "inet":
      return { kind: "inet", hostname: inetText(raw.address), port: raw.port };
    case "unix":
      return { kind: "unix", path: raw.path };
    case "other":
      return undefined;
  }
}

/** Whether an IPv6 listener accepts IPv4 connections as well (ipv6(7), IPV6_V6ONLY). */
export function servesBothFamilies(fd: number): boolean {
  return getIntOption({ fd, level: IPPROTO_IPV6, name: IPV6_V6ONLY }) === 0;
}

/** The address of a listening descriptor: the same shape as a {@linkcode ListenAddress}. */
export type ListenerDescription = ListenAddress;

/** Converts the address of a listener of the runtime. */
export function listenAddressOf(addr: Deno.Addr): ListenAddress {
  if ("path" in addr) return { kind: "unix", path: addr.path };
  const { hostname, port } = addr as Deno.NetAddr;
  return { kind: "inet", hostname, port };
}

/** An address as readable text, equal for equal addresses. */
export function addressText(address: ListenAddress): string {
  return address.kind === "inet" ? `${address.hostname}:${address.port}` : address.path;
}

/** Converts an IP address to text (inet_ntop(3)). */
function inetText(binary: Uint8Array<ArrayBuffer>): string {
  const text = new Uint8Array(46);
  const family = binary.length === 16 ? AF_INET6 : AF_INET;
  libc().inet_ntop(family, binary, text, text.length);
  return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
}

/**
 * Makes a stream socket, non-blocking and close-on-exec (socket(2)).
 *
 * @param family Such as AF_INET.
 * @returns Its descriptor, owned by the caller.
 * @throws {SysError} At the limit of open files.
 */
export function newSocket(family: number): number {
  return unwrap(
    { syscall: "socket" },
    () => libc().socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
  );
}

/**
 * Makes a bound socket listen, with the longest queue that the system grants (listen(2)).
 *
 * @param fd A bound socket. Borrowed.
 * @param subject Its address, for the error.
 * @throws {SysError} `EADDRINUSE` when another one listens there.
 */
export function listen(fd: number, subject: string): void {
  unwrap({ syscall: "listen", subject }, () => libc().listen(fd, LARGEST_BACKLOG));
}

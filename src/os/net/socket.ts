/**
 * Sockets and named pipes as raw descriptors: a master's listeners, and the socket pairs and pipes that
 * connect it to its children.
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
  O_PATH,
  SHUT_RDWR,
  SO_ACCEPTCONN,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../ffi/constants.ts";
import { closeFd, isPipe, O_NONBLOCK, O_RDWR } from "../fd/descriptor.ts";
import { EADDRINUSE, ECONNREFUSED, EISDIR, ELOOP, ENOENT, ENXIO, SysError } from "../ffi/errors.ts";
import {
  decodeAddress,
  encodeInetAddress,
  encodeUnixAddress,
  SOCKADDR_BYTES,
} from "../ffi/layout.ts";
import { cString, libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";
import { ParentDirectory, unlessMissing } from "../fs/parent_directory.ts";
import { isHungUp } from "../fd/poller.ts";
import { fileStatus } from "../ffi/file_status.ts";
import { readLinkProcSelf } from "../ffi/proc_self.ts";
import { getIntOption, setIntOption } from "./socket_options.ts";
import { bindFile, makeFifo } from "./made_file.ts";
import { type FileAccess, removeSocketFile, type SocketFile } from "./socket_file.ts";

export { removeSocketFile, type SocketFile };
const SO_REUSEADDR = 2, SO_REUSEPORT = 15;
const IPV6_V6ONLY = 26;

/** The errors of open(2) for a directory, a socket and a link, instead of a named pipe. */
const NO_FIFO: readonly number[] = [EISDIR, ENXIO, ELOOP];

/** More than any kernel grants: listen(2) lowers it to net.core.somaxconn. */
const LARGEST_BACKLOG = 65_535;

/** The three types of service endpoint, as LIB-ZC names them. */
export type FdType = "inet" | "unix" | "fifo";

/** The address of a listener. */
export type ListenAddress =
  | { readonly kind: "inet"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "fifo"; readonly path: string };

/** A listening descriptor, and the file that was created for it, if any. */
export interface OpenedListener {
  /** Non-blocking, close-on-exec, owned by the caller. */
  readonly fd: number;
  /** Only for unix sockets. */
  readonly socketFile?: SocketFile;
  /** Only for a named pipe that did not exist. It outlives the listener, for its writers. */
  readonly madeFifo?: SocketFile;
}

/**
 * Opens a listener: binds and listens for sockets, opens read-write for named pipes.
 *
 * A socket file without a listener is removed first; one with a listener, and a file of any other kind, is
 * left in place and is an error.
 *
 * @param address The address.
 * @param access Mode and owner of the created file, set before any client can connect. An existing named
 * pipe stays unchanged. Without it, the umask applies.
 * @returns The descriptor.
 * @throws {SysError} When a system call refuses, `EADDRINUSE` and `EACCES` being the common ones; `ELOOP` when
 * a link of another user is on the way to the path.
 * @throws {TypeError} When the host is not a numeric IP address.
 * @throws {RangeError} When the path of a unix socket is longer than 107 bytes.
 * @throws {Error} When the path is a file of another kind.
 */
export function openListener(address: ListenAddress, access?: FileAccess): OpenedListener {
  switch (address.kind) {
    case "inet":
      return { fd: listenInet(address) };
    case "unix":
      return listenUnix(address.path, access);
    case "fifo":
      return openFifo(address.path, access);
  }
}

/**
 * Opens a TCP listener.
 *
 * @param address The address.
 * @param options `group`: whether the socket founds a SO_REUSEPORT group, which fails on an address in use,
 * or joins one; without it the socket has no group.
 * @returns The descriptor, owned by the caller.
 * @throws {SysError} When a system call refuses.
 * @throws {TypeError} When the host is not a numeric IP address.
 */
export function listenInet(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  { group }: { readonly group?: "found" | "join" } = {},
): number {
  const subject = hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
  return closingOnError(bindInet({ hostname, port, subject, joins: group === "join" }), (fd) => {
    // Between the two calls: so bind(2) detects any other listener, and listen(2) makes the group.
    if (group === "found") setReusePort(fd);
    listen(fd, subject);
    return fd;
  });
}

function bindInet({ hostname, port, subject, joins = false }: {
  readonly hostname: string;
  readonly port: number;
  readonly subject?: string;
  readonly joins?: boolean;
}): number {
  const binary = inetBytes(hostname), family = binary.length === 16 ? AF_INET6 : AF_INET;
  return closingOnError(newSocket(family), (fd) => {
    setReuseAddress(fd);
    // Otherwise `[::]:80` would include `0.0.0.0:80`, and the two are separate listeners here.
    if (family === AF_INET6) setIntOption({ fd, level: IPPROTO_IPV6, name: IPV6_V6ONLY });
    if (joins) setReusePort(fd);
    bind(fd, { address: encodeInetAddress(binary, port), subject });
    return fd;
  });
}

/**
 * The bytes of an IP address in network byte order (inet_pton(3)): 4 or 16.
 *
 * @throws {TypeError} When it is none.
 */
export function inetBytes(hostname: string): Uint8Array<ArrayBuffer> {
  const family = hostname.includes(":") ? AF_INET6 : AF_INET;
  const bytes = new Uint8Array(family === AF_INET6 ? 16 : 4);
  if (libc().inet_pton(family, cString(hostname), bytes) === 1) return bytes;
  throw new TypeError(`Cannot listen on "${hostname}": expected a numeric IP address`);
}

/** Whether an address has a listener, so that no other can be opened. */
export function isAddressInUse(address: ListenAddress): boolean {
  try {
    tryAddress(address);
    return false;
  } catch (error) {
    return error instanceof SysError && error.errno === EADDRINUSE;
  }
}

/**
 * Tries whether a listener could be opened at an address, without opening one. An old socket is removed. The
 * permission to make a file in a directory is not tried.
 *
 * @throws {Error} See {@linkcode openListener}.
 */
export function tryAddress(address: ListenAddress): void {
  // Without listen(2), so that no client can connect.
  if (address.kind === "inet") return closeFd(bindInet(address));
  using directory = ParentDirectory.openTrusted(address.path);
  if (address.kind === "unix") removeStaleSocket(directory);
  else if (directory.status() !== undefined) closeFd(openPipe(directory));
}

/**
 * Lets another socket bind to the address of one that does not listen (socket(7), SO_REUSEADDR).
 *
 * @throws {SysError} When the kernel refuses.
 */
export function setReuseAddress(fd: number): void {
  setIntOption({ fd, level: SOL_SOCKET, name: SO_REUSEADDR });
}

/**
 * Lets further sockets of this user listen on the same address (socket(7), SO_REUSEPORT).
 *
 * @throws {SysError} When the kernel refuses.
 */
export function setReusePort(fd: number): void {
  setIntOption({ fd, level: SOL_SOCKET, name: SO_REUSEPORT });
}

function listenUnix(path: string, access?: FileAccess): OpenedListener {
  using directory = ParentDirectory.openTrusted(path);
  removeStaleSocket(directory);
  return closingOnError(newSocket(AF_UNIX), (fd) => {
    const complete = () => listen(fd, path);
    return { fd, socketFile: bindFile(fd, directory, { access, complete }) };
  });
}

/** Removes a socket without a listener, since bind(2) fails on any existing path. */
function removeStaleSocket(directory: ParentDirectory): void {
  const { path } = directory, file = unlessMissing(() => directory.openEntry(O_PATH));
  if (file === undefined) return;
  try {
    const found = fileStatus(file, path);
    if (!found.isSocket) {
      throw new Error(
        `Cannot listen on "${path}": found a file of another kind, expected a free path or an old socket`,
      );
    }
    if (isServed(file, path)) throw new SysError("connect", EADDRINUSE, path);
    directory.remove(found);
  } finally {
    closeFd(file);
  }
}

/** Whether a socket file, opened with O_PATH, has a listener. */
function isServed(file: number, path: string): boolean {
  const probe = newSocket(AF_UNIX);
  try {
    // To the opened file, whatever the path leads to by now. In a root directory without /proc, by the path.
    return canConnect(probe, { address: `/proc/self/fd/${file}`, path }) ??
      canConnect(probe, { address: path, path }) ?? false;
  } finally {
    closeFd(probe);
  }
}

/** Whether a unix address has a listener; undefined if it does not exist. */
function canConnect(
  probe: number,
  { address, path }: { readonly address: string; readonly path: string },
): boolean | undefined {
  const bytes = encodeUnixAddress(address);
  try {
    // A full queue (EAGAIN) is proof of a listener, too.
    unwrapOrBlock(
      { syscall: "connect", subject: path },
      () => libc().connect(probe, bytes, bytes.length),
    );
    return true;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    if (error.errno === ECONNREFUSED) return false;
    if (error.errno === ENOENT) return undefined;
    throw error;
  }
}

function openFifo(path: string, access?: FileAccess): OpenedListener {
  using directory = ParentDirectory.openTrusted(path);
  const open = () => openPipe(directory);
  return directory.status() === undefined ? makeFifo(directory, { access, open }) : { fd: open() };
}

/** Opens a named pipe read-write, so that it stays open when its last writer closes it (fifo(7)). */
function openPipe(directory: ParentDirectory): number {
  try {
    return closingOnError(directory.openEntry(O_RDWR | O_NONBLOCK), (fd) => {
      // The opened file is tested: another process may have replaced it meanwhile.
      if (!isPipe(fd)) throw noFifo(directory.path);
      return fd;
    });
  } catch (error) {
    const isOther = error instanceof SysError && NO_FIFO.includes(error.errno);
    throw isOther ? noFifo(directory.path) : error;
  }
}

function noFifo(path: string): Error {
  return new Error(
    `Cannot open "${path}": found a file of another kind, expected a named pipe or a free path`,
  );
}

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
  const raw = decodeAddress(bytes.subarray(0, length[0]));
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

function bind(
  fd: number,
  { address, subject }: { address: Uint8Array<ArrayBuffer>; subject?: string },
): void {
  unwrap({ syscall: "bind", subject }, () => libc().bind(fd, address, address.length));
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

function closingOnError<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

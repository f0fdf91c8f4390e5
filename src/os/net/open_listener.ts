/**
 * Opening of listeners: sockets that are bound and listen, and named pipes.
 *
 * Every descriptor is close-on-exec from its creation on, and owned by the caller of the function that
 * returns it.
 *
 * @module
 */
import { AF_INET, AF_INET6, AF_UNIX, IPPROTO_IPV6, O_PATH, SOL_SOCKET } from "../ffi/constants.ts";
import { closeFd, isPipe, O_NONBLOCK, O_RDWR } from "../fd/descriptor.ts";
import { EADDRINUSE, ECONNREFUSED, EISDIR, ELOOP, ENOENT, ENXIO, SysError } from "../ffi/errors.ts";
import { fileStatus } from "../ffi/file_status.ts";
import { encodeInetAddress, encodeUnixAddress } from "../ffi/layout.ts";
import { cString, libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";
import { ParentDirectory, unlessMissing } from "../fs/parent_directory.ts";
import { bindFile, makeFifo } from "./made_file.ts";
import { IPV6_V6ONLY, listen, type ListenAddress, newSocket } from "./socket.ts";
import { setTakesDescriptors } from "./fd_passing.ts";
import type { FileAccess, SocketFile } from "./socket_file.ts";
import { setIntOption } from "./socket_options.ts";

const SO_REUSEADDR = 2, SO_REUSEPORT = 15;

/** The errors of open(2) for a directory, a socket and a link, instead of a named pipe. */
const NO_FIFO: readonly number[] = [EISDIR, ENXIO, ELOOP];

/** How the file of a listener is made, and what its clients may do. */
export interface ListenerAccess extends FileAccess {
  /**
   * Whether clients of a unix socket may send descriptors; see {@linkcode setTakesDescriptors}.
   *
   * @default {false}
   */
  readonly takesDescriptors?: boolean;
}

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
export function openListener(address: ListenAddress, access?: ListenerAccess): OpenedListener {
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
 * permissions to make a file in a directory and to open a named pipe are not tried.
 *
 * @throws {Error} See {@linkcode openListener}.
 */
export function tryAddress(address: ListenAddress): void {
  // Without listen(2), so that no client can connect.
  if (address.kind === "inet") return closeFd(bindInet(address));
  using directory = ParentDirectory.openTrusted(address.path);
  if (address.kind === "unix") removeStaleSocket(directory);
  // Not opened: a waiting writer would go on, and its data be lost with the descriptor.
  else if (directory.status()?.isFifo === false) throw noFifo(address.path);
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

function listenUnix(path: string, access?: ListenerAccess): OpenedListener {
  using directory = ParentDirectory.openTrusted(path);
  removeStaleSocket(directory);
  return closingOnError(newSocket(AF_UNIX), (fd) => {
    setTakesDescriptors(fd, access?.takesDescriptors ?? false);
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
    closingOnError(newSocket(AF_UNIX), (probe) => {
      requireUnserved(file, { probe, path });
      closeFd(probe);
    });
    directory.remove(found);
  } finally {
    closeFd(file);
  }
}

/**
 * Requires that no process listens, or receives, at a socket file.
 *
 * @param file The file, opened with O_PATH. Borrowed.
 * @param at A new non-blocking socket of the same type, borrowed, and the path of the file.
 * @throws {SysError} `EADDRINUSE` when one does, and any other error of connect(2) that does not tell.
 */
export function requireUnserved(
  file: number,
  { probe, path }: { readonly probe: number; readonly path: string },
): void {
  // To the opened file, whatever the path leads to by now. In a root directory without /proc, by the path.
  const isServed = canConnect(probe, { address: `/proc/self/fd/${file}`, path }) ??
    canConnect(probe, { address: path, path }) ?? false;
  if (isServed) throw new SysError("connect", EADDRINUSE, path);
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

function bind(
  fd: number,
  { address, subject }: { address: Uint8Array<ArrayBuffer>; subject?: string },
): void {
  unwrap({ syscall: "bind", subject }, () => libc().bind(fd, address, address.length));
}

function closingOnError<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

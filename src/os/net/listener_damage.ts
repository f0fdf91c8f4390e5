/**
 * Detection and repair of damage to a shared listener.
 *
 * A listener is one kernel object that many processes hold. Each of them can shut it down, make it blocking,
 * or change its filter and options, and the change outlives the process.
 *
 * @module
 */
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_TYPE,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../ffi/constants.ts";
import type { Admission } from "./connect_permission.ts";
import { closeFd, isNonblocking, restorePipeSize, setNonblocking } from "../fd/descriptor.ts";
import { SysError } from "../ffi/errors.ts";
import { libc } from "../ffi/libc.ts";
import { hasFilter, removeFilter } from "./bpf.ts";
import {
  type ChangedOption,
  changedOptions,
  hasAttachments,
  type ListenerOfFamily,
  optionsOf,
} from "./listener_options.ts";
import { isHungUp } from "../fd/poller.ts";
import {
  addressText,
  boundAddress,
  connectedAt,
  disconnectSocket,
  listen,
  shutdownSocket,
} from "./socket.ts";
import { setReuseAddress } from "./open_listener.ts";
import { getIntOption } from "./socket_options.ts";

const SO_LINGER = 13;
/** struct linger, both fields 0. */
const NO_LINGER = new Uint8Array(8);

/** A listener without filter and with default options, as it is opened. */
const EVERYBODY: Admission = { filtered: false, options: [] };

/** Reads the filter and options of a listener; undefined if it is no socket. */
export function admissionOf(fd: number): Admission | undefined {
  const listener = socketOf(fd);
  return listener &&
    { filtered: hasAttachments(fd) ?? hasFilter(fd), options: optionsOf(listener) };
}

/** Whether a listener accepts no connections any more: it was shut down, or listens no more. */
export function isShutDown(fd: number): boolean {
  // A TCP socket that was shut down listens no more, a unix socket hangs up; a named pipe does neither.
  return isHungUp(fd) || listens(fd) === false;
}

/** Whether a listener is unchanged: accepting, with its filter and options, and non-blocking. */
export function isUndamaged(fd: number, admission: Admission = EVERYBODY): boolean {
  return !isShutDown(fd) && isNonblocking(fd) && differences(fd, admission).length === 0;
}

/**
 * Repairs all damage that can be repaired without the loss of a connection.
 *
 * @param fd The listener. Borrowed.
 * @param admission Its intended filter and options; default none.
 * @returns The damage in words for the log, and the damage that remains: it needs a new socket.
 */
export function undoDamage(
  fd: number,
  admission: Admission = EVERYBODY,
): { readonly undone: readonly string[]; readonly left: readonly string[] } {
  const undone: string[] = [];
  if (!isNonblocking(fd)) {
    setNonblocking(fd);
    undone.push("blocking");
  }
  const found = differences(fd, admission);
  for (const { undo } of found) {
    try {
      undo();
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    }
  }
  const left = differences(fd, admission).map(({ what }) => what);
  undone.push(...found.map(({ what }) => what).filter((what) => !left.includes(what)));
  return { undone: [...new Set(undone)], left: [...new Set(left)] };
}

/**
 * Restores the long queue of a listener: its length can't be read, and a process may have made it so short
 * that hardly any client can connect. Programs that want a short one set it at their start.
 *
 * @throws {SysError} When the kernel refuses.
 */
export function restoreQueue(fd: number): void {
  const address = boundAddress(fd);
  if (address !== undefined) listen(fd, addressText(address));
  else restorePipeSize(fd);
}

/**
 * Makes a TCP socket that was shut down listen again: the same socket, with the same options. The
 * connections in its queue are lost already.
 *
 * Only for a socket that no process accepts on: the runtime has recorded the shutdown, and a process that
 * accepts on it nevertheless does nothing else any more.
 *
 * @param fd The socket. Borrowed.
 * @returns Whether it listens at its address; never for a unix socket, whose shutdown is permanent.
 * @throws {SysError} When the kernel refuses, as where another socket listens there by now.
 */
export function revive(fd: number): boolean {
  const address = boundAddress(fd);
  if (address?.kind !== "inet") return false;
  setReuseAddress(fd);
  // It may have been connected meanwhile.
  disconnectSocket(fd);
  listen(fd, addressText(address));
  const found = boundAddress(fd);
  // The kernel chooses another port for a socket that was bound to any port.
  return found !== undefined && addressText(found) === addressText(address) && !isShutDown(fd);
}

/**
 * Makes an inherited TCP socket that was shut down listen again.
 *
 * @param fd Any descriptor. Borrowed.
 * @returns Whether it is one, and listens again.
 * @throws {SysError} When the kernel refuses.
 */
export function reviveIfShutDown(fd: number): boolean {
  const isStream = read(fd, { level: SOL_SOCKET, name: SO_TYPE }) === SOCK_STREAM;
  return isStream && listens(fd) === false && connectedAt(fd) === undefined && revive(fd);
}

/** Releases the address of a listener, so that another socket can listen there while this one is open. */
export function giveUpAddress(fd: number): void {
  if (boundAddress(fd)?.kind !== "inet") return;
  if (listens(fd)) shutdownSocket(fd);
  else disconnectSocket(fd);
  setReuseAddress(fd);
}

/**
 * Closes a listener without a wait. A process that shares it may have made it a connection, whose last close(2) waits
 * until its peer has read everything (socket(7), SO_LINGER).
 *
 * @param fd The listener, of any kind. Owned.
 */
export function closeListener(fd: number): void {
  // Fails for a named pipe, which has no such option.
  libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, NO_LINGER, NO_LINGER.byteLength);
  closeFd(fd);
}

function differences(fd: number, { filtered, options }: Admission): ChangedOption[] {
  const listener = socketOf(fd);
  if (listener === undefined) return [];
  // The options of a connected socket were not set by a process.
  const found = listens(fd) ? changedOptions(listener, options) : [];
  const attached = hasAttachments(fd);
  if (filtered || attached === false) return found;
  if (hasFilter(fd)) return [{ what: "filtered", undo: () => removeFilter(fd) }, ...found];
  // Header options have memory as well.
  return attached && found.length === 0 ? [KEYS] : found;
}

/** Keys of clients, which the kernel neither shows nor removes unless the client is named. */
const KEYS: ChangedOption = { what: "given keys of TCP_MD5SIG", undo: () => {} };

/** A socket with its address family, which getsockname(2) would read with the lock of the socket. */
function socketOf(fd: number): ListenerOfFamily | undefined {
  const family = read(fd, { level: SOL_SOCKET, name: SO_DOMAIN });
  return family !== undefined && [AF_INET, AF_INET6, AF_UNIX].includes(family)
    ? { fd, family }
    : undefined;
}

/** Whether a socket listens; undefined if it is no socket. */
function listens(fd: number): boolean | undefined {
  const value = read(fd, { level: SOL_SOCKET, name: SO_ACCEPTCONN });
  return value === undefined ? undefined : value === 1;
}

/** Undefined where the option does not exist. */
function read(
  fd: number,
  { level, name }: { readonly level: number; readonly name: number },
): number | undefined {
  try {
    return getIntOption({ fd, level, name });
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

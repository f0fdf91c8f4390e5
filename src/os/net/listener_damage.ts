/**
 * What a process can do to a listener that it shares with others, and how that is undone.
 *
 * A listener is one object of the kernel, however many processes hold it. Each of them can shut it down,
 * have it block, and say whose connections it takes and what these are like, and all of that outlives
 * the process.
 *
 * @module
 */
import type { Admission } from "./connect_permission.ts";
import { isNonblocking, restorePipeSize, setNonblocking } from "../fd/descriptor.ts";
import { SysError } from "../ffi/errors.ts";
import { hasFilter, removeFilter } from "./bpf.ts";
import {
  type ChangedOption,
  changedOptions,
  type InetListener,
  optionsOf,
} from "./listener_options.ts";
import { isHungUp } from "../fd/poller.ts";
import {
  addressText,
  boundAddress,
  connectedAt,
  disconnectSocket,
  listen,
  setReuseAddress,
  shutdownSocket,
} from "./socket.ts";
import { getIntOption } from "./socket_options.ts";

const SOL_SOCKET = 1, SO_TYPE = 3, SO_ACCEPTCONN = 30, SOCK_STREAM = 1;

/** Everybody: how a listener is opened. */
const EVERYBODY: Admission = { filtered: false, options: [] };

/**
 * Reads who can connect to a listener.
 *
 * @param fd The listener. Borrowed.
 * @returns Undefined for one that is no socket of TCP, for which there is nothing of the kind.
 */
export function admissionOf(fd: number): Admission | undefined {
  const listener = inetListenerOf(fd);
  return listener && { filtered: hasFilter(fd), options: optionsOf(listener) };
}

/**
 * Whether a listener takes no connections any more, since it was shut down, or is no listener now.
 *
 * @param fd The listener. Borrowed.
 */
export function isDeaf(fd: number): boolean {
  // A socket of TCP that is shut down listens no more, one of unix hangs up; a named pipe does neither.
  return isHungUp(fd) || listens(fd) === false;
}

/**
 * Whether a listener is as it was: it takes connections, of whoever may connect, and does not block.
 *
 * @param fd The listener. Borrowed.
 * @param admission Who may connect; default everybody.
 */
export function isUndamaged(fd: number, admission: Admission = EVERYBODY): boolean {
  return !isDeaf(fd) && isNonblocking(fd) && differences(fd, admission).length === 0;
}

/**
 * Undoes what can be undone without the loss of a connection.
 *
 * @param fd The listener. Borrowed.
 * @param admission Who may connect; default everybody.
 * @returns What was wrong, in words for the log, and what still is: then only another socket helps.
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
 * Gives a listening socket its long queue back: how long it is can't be read, and a process may have made
 * it so short that hardly anybody gets in. Programs that want a short one ask for it at their start. A
 * named pipe gets its size back in the same way.
 *
 * @param fd The listener. Borrowed.
 * @throws {SysError} When the kernel refuses.
 */
export function restoreQueue(fd: number): void {
  const address = boundAddress(fd);
  if (address !== undefined) listen(fd, addressText(address));
  else restorePipeSize(fd);
}

/**
 * Has a socket of TCP that was shut down listen again. It is the very same socket, with the same options;
 * what was in its queue is lost already.
 *
 * Only for one that no process accepts on: the runtime has taken note that it was shut down, and a process
 * that tries to accept on it nevertheless does nothing else any more.
 *
 * @param fd The socket. Borrowed.
 * @returns Whether it listens at its address; not so for a unix socket, whose end is for good.
 * @throws {SysError} When the kernel refuses, as where another socket listens there by now.
 */
export function revive(fd: number): boolean {
  const address = boundAddress(fd);
  if (address?.kind !== "inet") return false;
  setReuseAddress(fd);
  // It may have been connected to somebody meanwhile.
  disconnectSocket(fd);
  listen(fd, addressText(address));
  const found = boundAddress(fd);
  // The kernel chooses another port for one that was bound to any.
  return found !== undefined && addressText(found) === addressText(address) && !isDeaf(fd);
}

/**
 * Has a socket listen again that this process was started with, if it is one of TCP that was shut down.
 *
 * @param fd Any descriptor. Borrowed.
 * @returns Whether it is one, and listens again.
 * @throws {SysError} When the kernel refuses.
 */
export function reviveIfShutDown(fd: number): boolean {
  const isStream = read(fd, { level: SOL_SOCKET, name: SO_TYPE }) === SOCK_STREAM;
  return isStream && listens(fd) === false && connectedAt(fd) === undefined && revive(fd);
}

/**
 * Gives up the address of a listener, so that another socket can listen there, though processes still
 * hold this one.
 *
 * @param fd The listener. Borrowed.
 */
export function giveUpAddress(fd: number): void {
  if (boundAddress(fd)?.kind !== "inet") return;
  if (listens(fd)) shutdownSocket(fd);
  else disconnectSocket(fd);
  setReuseAddress(fd);
}

function differences(fd: number, { filtered, options }: Admission): ChangedOption[] {
  const listener = inetListenerOf(fd);
  if (listener === undefined) return [];
  // What one has that is connected is no choice of anybody.
  const found = listens(fd) ? changedOptions(listener, options) : [];
  if (filtered || !hasFilter(fd)) return found;
  return [{ what: "filtered", undo: () => removeFilter(fd) }, ...found];
}

function inetListenerOf(fd: number): InetListener | undefined {
  const address = boundAddress(fd);
  return address?.kind === "inet" ? { fd, isIpv6: address.hostname.includes(":") } : undefined;
}

/** Whether a socket listens; undefined for what is no socket. */
function listens(fd: number): boolean | undefined {
  const value = read(fd, { level: SOL_SOCKET, name: SO_ACCEPTCONN });
  return value === undefined ? undefined : value === 1;
}

/** Undefined where there is no such option. */
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

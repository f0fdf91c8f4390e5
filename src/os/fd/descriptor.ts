/**
 * Operations on any raw descriptor: close, flags, duplicates, the list of open ones.
 *
 * A function borrows its descriptor unless its doc says that it takes ownership.
 *
 * @module
 */
import { AT_EMPTY_PATH, F_GETFD } from "../ffi/constants.ts";
import { EBADF, SysError } from "../ffi/errors.ts";
import { cString, libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";
import { isMissing, listProcSelf, readLinkProcSelf } from "../ffi/proc_self.ts";

const F_SETFD = 2,
  F_GETFL = 3,
  F_SETFL = 4,
  F_DUPFD_CLOEXEC = 1030,
  F_SETPIPE_SZ = 1031,
  F_GETPIPE_SZ = 1032;
/** How much a new pipe takes (pipe(7)). */
const PIPE_BYTES = 65_536;
const FD_CLOEXEC = 1, O_NONBLOCK = 0o4000, O_ACCMODE = 0o3;

/** The number that leaves an owner unchanged (chown(2)). */
const UNCHANGED = 2 ** 32 - 1;

const O_DIRECT = Deno.build.arch === "aarch64" ? 0o200000 : 0o40000;

/** Flags of open(2) that are the same on x86-64 and arm64. */
export const O_WRONLY = 0o1, O_RDWR = 0o2, O_CREAT = 0o100, O_NOCTTY = 0o400, O_APPEND = 0o2000;
/** Flags of open(2) that differ between them. */
export const O_NOFOLLOW: number = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
export const O_DIRECTORY: number = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
export { O_NONBLOCK };

/**
 * Restores appending writes of any length to a file (O_DIRECT, O_APPEND, and the position), which every
 * process that shares the file can change; returns whether they were changed.
 */
export function restoreWrites(fd: number): boolean {
  const flags = libc().fcntl(fd, F_GETFL, 0), wanted = flags & ~O_DIRECT | O_APPEND;
  return flags >= 0 && flags !== wanted && libc().fcntl(fd, F_SETFL, wanted) === 0;
}

/**
 * Closes a descriptor, owned by this call.
 *
 * EINTR is not retried: on Linux the descriptor is closed even then (close(2)).
 */
export function closeFd(fd: number): void {
  libc().close(fd);
}

/**
 * Sets or clears FD_CLOEXEC.
 *
 * @param fd The descriptor.
 * @param on Whether exec(2) closes it.
 * @throws {SysError} When `fd` is not open.
 */
export function setCloseOnExec(fd: number, on: boolean): void {
  const context = { syscall: "fcntl", subject: fd };
  const flags = unwrap(context, () => libc().fcntl(fd, F_GETFD, 0));
  const wanted = on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC;
  if (wanted !== flags) unwrap(context, () => libc().fcntl(fd, F_SETFD, wanted));
}

/**
 * Duplicates a descriptor; the new one is close-on-exec and owned by the caller.
 *
 * @param fd The descriptor.
 * @param lowest The lowest number that the duplicate may have.
 * @throws {SysError} When `fd` is not open, or at the limit of open files.
 */
export function duplicateFd(fd: number, lowest = 3): number {
  return unwrap(
    { syscall: "fcntl", subject: fd },
    () => libc().fcntl(fd, F_DUPFD_CLOEXEC, lowest),
  );
}

/**
 * Changes the owner of an open file, a pipe or one opened with O_PATH included.
 *
 * @param fd The descriptor.
 * @param owner The new user and group; a missing one stays.
 * @param subject What the error names; the descriptor by default.
 * @throws {SysError} When it is not permitted.
 */
export function changeOwner(
  fd: number,
  { uid = UNCHANGED, gid = UNCHANGED }: { readonly uid?: number; readonly gid?: number },
  subject: string | number = fd,
): void {
  unwrap(
    { syscall: "chown", subject },
    () => libc().fchownat(fd, cString(""), uid, gid, AT_EMPTY_PATH),
  );
}

/** A descriptor, and the number that another program is to have it at. */
export interface PlacedFd {
  readonly from: number;
  readonly to: number;
}

/**
 * Duplicates descriptors above all their targets, since one may have the number of another one's target.
 *
 * @param fds The descriptors. Borrowed; the caller owns the duplicates, which are close-on-exec.
 * @throws {SysError} When one is not open, or at the limit of open files; no duplicate is left then.
 */
export function liftAboveTargets(fds: readonly PlacedFd[]): readonly PlacedFd[] {
  const above = Math.max(0, ...fds.map(({ to }) => to)) + 1;
  const lifted: PlacedFd[] = [];
  try {
    for (const { from, to } of fds) lifted.push({ from: duplicateFd(from, above), to });
    return lifted;
  } catch (error) {
    for (const { from } of lifted) closeFd(from);
    throw error;
  }
}

/**
 * The number of the next descriptor of this process, unless another thread opens or closes one before.
 *
 * @param fd Any open descriptor. Borrowed.
 * @returns The lowest free number; -1 when there is none.
 */
export function lowestFreeFd(fd: number): number {
  const lowest = libc().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (lowest >= 0) closeFd(lowest);
  return lowest;
}

/**
 * Makes a descriptor non-blocking. There is no reverse: O_NONBLOCK belongs to the open file description, so
 * clearing it would block every process that shares a listener.
 *
 * @throws {SysError} When `fd` is not open.
 */
export function setNonblocking(fd: number): void {
  const context = { syscall: "fcntl", subject: fd };
  const flags = unwrap(context, () => libc().fcntl(fd, F_GETFL, 0));
  if ((flags & O_NONBLOCK) === 0) {
    unwrap(context, () => libc().fcntl(fd, F_SETFL, flags | O_NONBLOCK));
  }
}

/**
 * Whether a descriptor is non-blocking, for all processes that share it.
 *
 * @param fd The descriptor.
 */
export function isNonblocking(fd: number): boolean {
  const flags = libc().fcntl(fd, F_GETFL, 0);
  return flags >= 0 && (flags & O_NONBLOCK) !== 0;
}

/**
 * Whether a descriptor is a pipe, with or without a name.
 *
 * @param fd The descriptor.
 */
export function isPipe(fd: number): boolean {
  return libc().fcntl(fd, F_GETPIPE_SZ, 0) >= 0;
}

/**
 * Has a pipe take as much as a new one again, which each process that shares it can change. Where the
 * kernel refuses, as beyond the limit of a user's pipes, it stays as it is.
 *
 * @param fd The descriptor. Borrowed.
 */
export function restorePipeSize(fd: number): void {
  const size = libc().fcntl(fd, F_GETPIPE_SZ, 0);
  if (size >= 0 && size < PIPE_BYTES) libc().fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
}

/**
 * Whether a descriptor was opened for writing.
 *
 * @param fd The descriptor.
 */
export function isWritable(fd: number): boolean {
  const flags = libc().fcntl(fd, F_GETFL, 0);
  return flags >= 0 && (flags & O_ACCMODE) !== 0;
}

function isOpen(fd: number): boolean {
  return libc().fcntl(fd, F_GETFD, 0) >= 0;
}

/** The open descriptors of this process, each with its target, such as `socket:[4600]` or a path. */
export function openDescriptors(): Map<number, string> {
  const found = new Map<number, string>();
  // Without the descriptor that read the directory, which is closed by now. Detecting that by an error would
  // take 2 ms, since the first error of a process reads the source maps of its files.
  for (const fd of listProcSelf("fd").map(Number).filter(isOpen)) {
    try {
      found.set(fd, readLinkProcSelf(`fd/${fd}`));
    } catch (error) {
      // Another thread has closed it since.
      if (!isMissing(error)) throw error;
    }
  }
  return found;
}

/**
 * Sets FD_CLOEXEC on every descriptor above 2, so that descriptors that were inherited by accident do not
 * reach child programs.
 *
 * @throws {SysError} When a flag can't be set.
 */
export function keepDescriptorsFromChildren(): void {
  for (const fd of openDescriptors().keys()) {
    if (fd <= 2) continue;
    try {
      setCloseOnExec(fd, true);
    } catch (error) {
      // A thread of the runtime may have closed one since the list was read.
      if (!(error instanceof SysError && error.errno === EBADF)) throw error;
    }
  }
}

/**
 * Reads what has arrived (read(2)).
 *
 * @param fd The descriptor, non-blocking.
 * @param room The buffer.
 * @param subject What the error names; the descriptor by default.
 * @returns The number of bytes, 0 at the end of the file; undefined when nothing has arrived.
 * @throws {SysError} When it can't be read.
 */
export function readFd(
  fd: number,
  room: Uint8Array<ArrayBuffer>,
  subject: string | number = fd,
): number | undefined {
  return unwrapOrBlock(
    { syscall: "read", subject },
    () => libc().read(fd, room, BigInt(room.length)),
  );
}

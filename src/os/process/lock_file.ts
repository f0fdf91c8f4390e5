/**
 * The pid file, whose lock marks the running master (LIB-ZC section 4, flock(2)).
 *
 * Every process that may read a file may lock it. So the file is readable only by its owner, and an older
 * lock counts only if its holder can write to the file, as a master can.
 *
 * The file is never removed: between an unlink and the next open, two masters could lock two files of the
 * same name.
 *
 * @module
 */
import { closeFd, O_CREAT, O_RDWR } from "../fd/descriptor.ts";
import { EINVAL, SysError } from "../ffi/errors.ts";
import { fileStatus, isSameFile } from "../ffi/file_status.ts";
import { libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";
import { lockHolders } from "./lock_holders.ts";
import { ParentDirectory } from "../fs/parent_directory.ts";
import { readBeginning, statPath } from "../fs/path.ts";
import { readLinkProcSelf } from "../ffi/proc_self.ts";
import { openTrusted } from "../fs/trusted_open.ts";

const LOCK_EX = 2, LOCK_NB = 4;
const OWNER_ALONE = 0o600, NOT_FOR_OTHERS = 0o177;
const PID_WIDTH = 10;

/** A lock that is held while its descriptor is open. */
export class PidFile {
  #fd: number;

  private constructor(fd: number, readonly path: string) {
    this.#fd = fd;
  }

  /**
   * Opens the file, creating it with mode 0600, and tries to lock it. An existing file gets this mode if
   * this process runs as its owner or root.
   *
   * @param path The pid file.
   * @returns The lock, or undefined when another process holds it.
   * @throws {SysError} When the file can't be opened, or another user's link leads to it.
   */
  static tryLock(path: string): PidFile | undefined {
    const fd = openAlone(path);
    try {
      if (flock(fd, path)) return new PidFile(fd, path);
      // A look takes time, in which the masters of an upgrade may pass the lock on unseen: so it is taken twice.
      const isOthers = isHeldByReaders(fd, path) && isHeldByReaders(fd, path);
      // The holder may have released it meanwhile, so that none was found.
      if (isOthers && flock(fd, path)) return new PidFile(fd, path);
      const replaced = isOthers ? replaceLocked(fd) : undefined;
      closeFd(fd);
      return replaced === undefined ? undefined : new PidFile(replaced, path);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /**
   * Finds the process that holds the lock of a pid file.
   *
   * @param path The pid file.
   * @returns Its pid; undefined where the kernel does not show it.
   * @throws {SysError} See {@linkcode tryLock}.
   */
  static holderOf(path: string): number | undefined {
    const fd = openAlone(path);
    try {
      return lockHolders(fd, path)[0]?.pid;
    } finally {
      closeFd(fd);
    }
  }

  /**
   * Takes over a lock on an inherited open file description. Every process with the descriptor holds the
   * lock, and the last close releases it.
   *
   * @param fd The descriptor, owned by the lock from now on.
   * @param path The pid file.
   */
  static inherit(fd: number, path: string): PidFile {
    return new PidFile(fd, path);
  }

  /** The descriptor, owned by the lock. */
  get fd(): number {
    return this.#fd;
  }

  /** Whether the locked file is the one at a path. */
  isAt(path: string): boolean {
    return isFileAt(this.#fd, path);
  }

  /**
   * Writes a pid. It is ten bytes long as in LIB-ZC, so that the file holds one pid at every moment; but it
   * is padded with line ends, which a shell drops from `$(cat FILE)`.
   *
   * @param pid The pid.
   * @throws {SysError} When the disk is full or the file system is read-only.
   */
  write(pid: number): void {
    const text = new TextEncoder().encode(String(pid).padEnd(PID_WIDTH, "\n"));
    const subject = this.path;
    unwrap(
      { syscall: "pwrite", subject },
      () => libc().pwrite(this.#fd, text, BigInt(text.length), 0n),
    );
    unwrap(
      { syscall: "ftruncate", subject },
      () => libc().ftruncate(this.#fd, BigInt(text.length)),
    );
  }

  /** Reads the pid from the file at the path, with or without the lock; undefined if there is none. */
  readPid(): number | undefined {
    try {
      return parseInt(readBeginning(this.path, PID_WIDTH)) || undefined;
    } catch {
      return undefined;
    }
  }

  /** Removes the pid from the file, since another process will get it one day. */
  clear(): void {
    libc().ftruncate(this.#fd, 0n);
  }

  /** Releases the lock. A second call does nothing. */
  release(): void {
    if (this.#fd < 0) return;
    closeFd(this.#fd);
    this.#fd = -1;
  }
}

function openAlone(path: string): number {
  return closeToOthers(openTrusted(path, O_RDWR | O_CREAT, OWNER_ALONE), path);
}

function closeToOthers(fd: number, path: string): number {
  const { isRegular, mode, uid } = fileStatus(fd, path), self = libc().getuid();
  if (!isRegular) {
    closeFd(fd);
    throw new SysError("open", EINVAL, path, "it is no regular file");
  }
  // Before the lock: after this only processes that have the file open already can lock it.
  if ((mode & NOT_FOR_OTHERS) !== 0 && (uid === self || self === 0)) {
    libc().fchmod(fd, OWNER_ALONE);
  }
  return fd;
}

function flock(fd: number, subject: string): boolean {
  return unwrapOrBlock(
    { syscall: "flock", subject },
    () => libc().flock(fd, LOCK_EX | LOCK_NB),
  ) !== undefined;
}

function isHeldByReaders(fd: number, path: string): boolean {
  const holders = lockHolders(fd, path);
  return holders.length > 0 && holders.every(({ writes }) => !writes);
}

/**
 * Replaces a file whose lock is held without the right to write. The name refers to a file at every moment,
 * and one of several concurrent attempts succeeds: the lock of the new file permits its rename.
 *
 * @returns The new file, locked; undefined where this user can't do it, or another process was faster.
 */
function replaceLocked(fd: number): number | undefined {
  // With all links resolved.
  const path = readLinkProcSelf(`fd/${fd}`), next = `${path}.new`;
  let made: number | undefined;
  try {
    // Kept open: another user may replace a directory on the way.
    using directory = ParentDirectory.open(path);
    using nextDirectory = ParentDirectory.open(next);
    made = closeToOthers(nextDirectory.openEntry(O_RDWR | O_CREAT, OWNER_ALONE), next);
    const created = fileStatus(made, next);
    // In a sticky directory another user may have made it, and would own the pid file.
    if (created.uid !== libc().getuid()) nextDirectory.remove(created);
    else if (flock(made, next) && nextDirectory.has(created)) {
      if (directory.has(fileStatus(fd, path))) {
        nextDirectory.renameTo(directory);
        return made;
      }
      nextDirectory.remove(created);
    }
  } catch (error) {
    if (!("code" in (error as Error))) throw error;
  }
  if (made !== undefined) closeFd(made);
  return undefined;
}

function isFileAt(fd: number, path: string): boolean {
  try {
    return isSameFile(statPath(path), fileStatus(fd, path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * The socket files and named pipes of listeners: mode and owner, removal.
 *
 * @module
 */
import { O_PATH } from "../ffi/constants.ts";
import { changeOwner, closeFd } from "../fd/descriptor.ts";
import { type FileId, fileStatus, isSameFile } from "../ffi/file_status.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { ParentDirectory, unlessMissing } from "../fs/parent_directory.ts";
import { lstatPath } from "../fs/path.ts";
import { procSelfLink } from "../ffi/proc_self.ts";

/** A path that a listener has created, with device and inode of its file for later changes. */
export interface SocketFile extends FileId {
  /** The path as it was bound. */
  readonly path: string;
}

/** The attributes to change. */
export interface FileAccess {
  /** The mode bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Sets mode and owner of a file that a listener has created. If another file has taken the path meanwhile,
 * a link included, that file stays unchanged. At no moment is the mode wider than the old or the new one.
 *
 * @param file The file.
 * @param access The attributes to change.
 * @throws {SysError} When it is not permitted, or the file is gone.
 * @throws {Error} When another file has taken the path.
 */
export function setFileAccess(file: SocketFile, access: FileAccess): void {
  using directory = ParentDirectory.open(file.path);
  if (changeEntry(directory, file, access)) return;
  throw new Error(
    `Cannot change the mode of "${file.path}": another file is there by now, expected the one that was made`,
  );
}

/**
 * Sets mode and owner of a file in an open directory, as {@linkcode setFileAccess} does.
 *
 * @returns Whether the file is there; nothing is changed otherwise.
 */
export function changeEntry(
  directory: ParentDirectory,
  file: SocketFile,
  { mode, uid, gid }: FileAccess,
): boolean {
  const subject = file.path;
  // The descriptor refers to the file itself, even if the entry changes between two calls.
  const fd = directory.openEntry(O_PATH);
  try {
    const found = fileStatus(fd, subject);
    if (found.dev !== file.dev || found.ino !== file.ino) return false;
    const isOwned = (uid ?? found.uid) === found.uid && (gid ?? found.gid) === found.gid;
    const wanted = mode ?? found.mode, meanwhile = isOwned ? found.mode : found.mode & wanted;
    if (meanwhile !== found.mode) changeMode(fd, meanwhile, subject);
    // The owner before the mode, which is meant for the new owner and group.
    if (!isOwned) changeOwner(fd, { uid, gid }, subject);
    if (meanwhile !== wanted) changeMode(fd, wanted, subject);
    return true;
  } finally {
    closeFd(fd);
  }
}

function changeMode(fd: number, mode: number, subject: string): void {
  // By its link, since the kernel changes no mode through an O_PATH descriptor.
  const [directory, link] = procSelfLink(fd);
  unwrap({ syscall: "chmod", subject }, () => libc().fchmodat(directory, cString(link), mode, 0));
}

/** Whether a path still leads to the created file; also true if that can't be determined. */
export function isStillThere(file: SocketFile): boolean {
  try {
    return isSameFile(lstatPath(file.path), file);
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/**
 * Removes a socket file or a named pipe if it is still the created one, since another process may have put
 * its own in the same place. Must be called before the listener is closed: while it is open, no other file
 * can get its inode number.
 *
 * @param file The result of `openListener`.
 * @throws {SysError} When its directory can't be searched or written to.
 */
export function removeSocketFile(file: SocketFile): void {
  using directory = unlessMissing(() => ParentDirectory.open(file.path));
  directory?.remove(file);
}

/**
 * A socket file whose listener is closed. It is held, so that no other file can get its inode number
 * until it is removed.
 */
export class HeldSocketFile {
  readonly #file: SocketFile;
  readonly #fd: number;

  private constructor(file: SocketFile, fd: number) {
    this.#file = file;
    this.#fd = fd;
  }

  /**
   * Holds a socket file; to be called before its listener is closed.
   *
   * @param file The result of `openListener`.
   * @returns The file; undefined if it is not at its path any more.
   * @throws {SysError} When its directory can't be searched.
   */
  static hold(file: SocketFile): HeldSocketFile | undefined {
    using directory = unlessMissing(() => ParentDirectory.open(file.path));
    if (!directory?.has(file)) return undefined;
    const fd = unlessMissing(() => directory.openEntry(O_PATH));
    return fd === undefined ? undefined : new HeldSocketFile(file, fd);
  }

  /**
   * Removes the file if it is still the created one, and lets go of it. To be called once.
   *
   * @throws {SysError} When its directory can't be searched or written to.
   */
  remove(): void {
    try {
      removeSocketFile(this.#file);
    } finally {
      closeFd(this.#fd);
    }
  }
}

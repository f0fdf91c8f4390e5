/**
 * The socket files and named pipes of listeners: identification, mode and owner, removal.
 *
 * @module
 */
import { AT_EMPTY_PATH, O_CLOEXEC, O_PATH } from "../ffi/constants.ts";
import { closeFd, O_NOFOLLOW } from "../fd/descriptor.ts";
import { fileStatus } from "../ffi/file_status.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { lstatPath, removePath } from "../fs/path.ts";
import { procSelfLink } from "../ffi/proc_self.ts";

/** The number that leaves an owner unchanged (chown(2)). */
const UNCHANGED = 2 ** 32 - 1;

/** A path that a listener has created, with device and inode of its file for later changes. */
export interface SocketFile {
  /** The path as it was bound. */
  readonly path: string;
  /** Device and inode at that time. */
  readonly dev: number;
  /** See `dev`. */
  readonly ino: number;
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
 * a link included, that file stays unchanged.
 *
 * @param file The file.
 * @param access The attributes to change.
 * @throws {SysError} When it is not permitted, or the file is gone.
 * @throws {Error} When another file has taken the path.
 */
export function setFileAccess(file: SocketFile, { mode, uid, gid }: FileAccess): void {
  const subject = file.path;
  // The descriptor refers to the file itself, even if the path changes between two calls.
  const fd = unwrap(
    { syscall: "open", subject },
    () => libc().open(cString(file.path), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0),
  );
  try {
    const found = fileStatus(fd, subject);
    if (found.dev !== file.dev || found.ino !== file.ino) {
      throw new Error(
        `Cannot change the mode of "${file.path}": another file is there by now, expected the one that was made`,
      );
    }
    const isOwned = (uid ?? found.uid) === found.uid && (gid ?? found.gid) === found.gid;
    // The owner first: the mode is meant for the new owner and group.
    if (!isOwned) {
      unwrap(
        { syscall: "chown", subject },
        () => libc().fchownat(fd, cString(""), uid ?? UNCHANGED, gid ?? UNCHANGED, AT_EMPTY_PATH),
      );
    }
    if (mode !== undefined && (!isOwned || mode !== found.mode)) {
      // By its link, since the kernel changes no mode through an O_PATH descriptor.
      const [directory, link] = procSelfLink(fd);
      unwrap(
        { syscall: "chmod", subject },
        () => libc().fchmodat(directory, cString(link), mode, 0),
      );
    }
  } finally {
    closeFd(fd);
  }
}

/**
 * Identifies the socket or named pipe that this process has just created at a path.
 *
 * @throws {Deno.errors.NotFound} When it is gone.
 * @throws {Error} When another file has taken its place already.
 */
export function socketFileAt(path: string): SocketFile {
  const { dev, ino, isSocket, isFifo } = lstatPath(path);
  if (!isSocket && !isFifo) {
    throw new Error(
      `Cannot use "${path}": another file is there by now, expected the one that was made`,
    );
  }
  return { path, dev, ino: ino ?? 0 };
}

/**
 * Describes the file at a path without following a link; undefined if there is none.
 *
 * @throws {Deno.errors.PermissionDenied} When a directory in the path can't be searched.
 */
export function lstatIfThere(path: string): Deno.FileInfo | undefined {
  try {
    return lstatPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether a path still leads to the created file; also true if that can't be determined. */
export function isStillThere(file: SocketFile): boolean {
  try {
    const found = lstatIfThere(file.path);
    return found?.dev === file.dev && found.ino === file.ino;
  } catch {
    return true;
  }
}

/**
 * Removes a socket file or a named pipe if it is still the created one, since another process may have put
 * its own in the same place. Must be called before the listener is closed: while it is open, no other file
 * can get its inode number.
 *
 * @param file The result of `openListener`.
 */
export function removeSocketFile(file: SocketFile): void {
  const found = lstatIfThere(file.path);
  if (found?.dev === file.dev && found.ino === file.ino) removePath(file.path);
}

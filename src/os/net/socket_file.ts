/**
 * The socket files and named pipes that listeners make: how each is known again, who may use it, and
 * its end.
 *
 * @module
 */
import { closeFd, O_CLOEXEC, O_NOFOLLOW, O_PATH } from "../fd/descriptor.ts";
import { fileStatus } from "../ffi/file_status.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { lstatPath, removePath } from "../fs/path.ts";
import { procSelfLink } from "../ffi/proc_self.ts";

/** What leaves an owner as it is (chown(2)). */
const UNCHANGED = 2 ** 32 - 1;
const AT_EMPTY_PATH = 0x1000;

/** A path that a listener made, by which it is known again before it is changed or removed. */
export interface SocketFile {
  /** The path as it was bound. */
  readonly path: string;
  /** Device and inode at that time. */
  readonly dev: number;
  /** See `dev`. */
  readonly ino: number;
}

/** What is to be changed; all else stays as it is. */
export interface FileAccess {
  /** The bits of the mode. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Gives a file that a listener made its mode and owner. Nothing else can be changed by it: where
 * another file has taken the path meanwhile, a link included, that one is left alone.
 *
 * @param file The file.
 * @param access What to change.
 * @throws {SysError} When it is not permitted, or the file is gone.
 * @throws {Error} When another file is there by now.
 */
export function setFileAccess(file: SocketFile, { mode, uid, gid }: FileAccess): void {
  const subject = file.path;
  // The descriptor stands for the file itself, whatever becomes of the path between two calls.
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
    // The owner first: a mode is meant for the owner and group beside it.
    if (!isOwned) {
      unwrap(
        { syscall: "chown", subject },
        () => libc().fchownat(fd, cString(""), uid ?? UNCHANGED, gid ?? UNCHANGED, AT_EMPTY_PATH),
      );
    }
    if (mode !== undefined && (!isOwned || mode !== found.mode)) {
      // By its link, since the kernel changes no mode through a descriptor of this sort.
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
 * The socket or named pipe at a path, to be known again.
 *
 * @param path The path, at which this process has just made one.
 * @throws {Deno.errors.NotFound} When there is none any more.
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
 * What there is at a path, a link being a link.
 *
 * @param path The path.
 * @returns Undefined where there is nothing.
 * @throws {Deno.errors.PermissionDenied} When a directory on the way can't be searched.
 */
export function lstatIfThere(path: string): Deno.FileInfo | undefined {
  try {
    return lstatPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Whether a path still leads to the file that was made there.
 *
 * @param file The file.
 * @returns Also true where that can't be found out.
 */
export function isStillThere(file: SocketFile): boolean {
  try {
    const found = lstatIfThere(file.path);
    return found?.dev === file.dev && found.ino === file.ino;
  } catch {
    return true;
  }
}

/**
 * Removes a socket file or a named pipe, if it is still the one that was made: by now another process may have
 * put its own in the same place. To be called before the listener is closed: as long as it is open,
 * no other file can get its inode number.
 *
 * @param file What `openListener` returned.
 */
export function removeSocketFile(file: SocketFile): void {
  const found = lstatIfThere(file.path);
  if (found?.dev === file.dev && found.ino === file.ino) removePath(file.path);
}

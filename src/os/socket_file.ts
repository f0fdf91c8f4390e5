/**
 * The socket files and named pipes that listeners make: how each is known again, who may use it, and
 * its end.
 *
 * @module
 */
import { closeFd, O_CLOEXEC } from "./descriptor.ts";
import { cString, libc, unwrap } from "./libc.ts";

const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000, O_PATH = 0o10000000;
/** What leaves an owner as it is (chown(2)). */
const UNCHANGED = 2 ** 32 - 1;
const MODE_BITS = 0o7777;

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
    const path = `/proc/self/fd/${fd}`, found = Deno.statSync(path);
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
        () => libc().chown(cString(path), uid ?? UNCHANGED, gid ?? UNCHANGED),
      );
    }
    if (mode !== undefined && (!isOwned || mode !== (found.mode! & MODE_BITS))) {
      unwrap({ syscall: "chmod", subject }, () => libc().chmod(cString(path), mode));
    }
  } finally {
    closeFd(fd);
  }
}

/**
 * The file at a path, to be known again.
 *
 * @param path The path, at which somebody has just made one.
 * @throws {Deno.errors.NotFound} When there is none any more.
 */
export function socketFileAt(path: string): SocketFile {
  const { dev, ino } = Deno.lstatSync(path);
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
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
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
  if (found?.dev === file.dev && found.ino === file.ino) Deno.removeSync(file.path);
}

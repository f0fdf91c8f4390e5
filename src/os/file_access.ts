/**
 * Who may use a socket file or a named pipe: its mode and its owner.
 *
 * @module
 */
import { closeFd, O_CLOEXEC } from "./descriptor.ts";
import { cString, libc, unwrap } from "./libc.ts";
import type { SocketFile } from "./socket.ts";

const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000, O_PATH = 0o10000000;
/** What leaves an owner as it is (chown(2)). */
const UNCHANGED = 2 ** 32 - 1;
const MODE_BITS = 0o7777;

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

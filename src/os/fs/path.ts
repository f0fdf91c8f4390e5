/**
 * File functions of the runtime for any path, also for one that is not UTF-8 (see `byte_text.ts`), which the
 * runtime does not support: it is reached by a descriptor. That needs FFI, and /proc.
 *
 * @module
 */
import { O_CLOEXEC, O_PATH } from "../ffi/constants.ts";
import { closeFd, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK } from "../fd/descriptor.ts";
import { entriesOf } from "../ffi/directory_entries.ts";
import { EACCES, ENOENT, ENOTDIR, SysError } from "../ffi/errors.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";

/** Like `Deno.statSync`. */
export function statPath(path: string): Deno.FileInfo {
  return path.isWellFormed() ? Deno.statSync(path) : byDescriptor(path, 0, Deno.statSync);
}

/** Like `Deno.lstatSync`. */
export function lstatPath(path: string): Deno.FileInfo {
  // For a link that was not followed, the descriptor refers to the link itself.
  return path.isWellFormed() ? Deno.lstatSync(path) : byDescriptor(path, O_NOFOLLOW, Deno.statSync);
}

/**
 * Reads at most `bytes` from the beginning of a file without blocking: another user may have put a named pipe
 * without a writer in its place.
 *
 * @throws {SysError} When it can't be read.
 */
export function readBeginning(path: string, bytes: number): string {
  const room = new Uint8Array(bytes);
  const fd = unwrap(
    { syscall: "open", subject: path },
    // A terminal must not become the one of this process, which has none.
    () => libc().open(cString(path), O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0),
  );
  try {
    const length = unwrap(
      { syscall: "read", subject: path },
      () => libc().read(fd, room, BigInt(room.length)),
    );
    return new TextDecoder().decode(room.subarray(0, length));
  } finally {
    closeFd(fd);
  }
}

/** Changes the working directory. */
export function changeDirectory(path: string): void {
  if (path.isWellFormed()) return Deno.chdir(path);
  unwrap({ syscall: "chdir", subject: path }, () => libc().chdir(cString(path)));
}

/** The names in a directory, unchanged. */
export function listPath(path: string): string[] {
  return entriesOf(open(path, O_RDONLY));
}

/** What is found at a path that other processes change at any time; undefined where nothing can be found. */
export function ifThere<T>(look: () => T): T | undefined {
  const { NotFound, PermissionDenied, NotADirectory, FilesystemLoop } = Deno.errors;
  try {
    return look();
  } catch (error) {
    if (
      [NotFound, PermissionDenied, NotADirectory, FilesystemLoop].some((known) =>
        error instanceof known
      )
    ) {
      return undefined;
    }
    throw error;
  }
}

const O_RDONLY = 0;

function byDescriptor<T>(path: string, flags: number, use: (alias: string) => T): T {
  const fd = open(path, O_PATH | flags);
  try {
    return use(`/proc/self/fd/${fd}`);
  } finally {
    closeFd(fd);
  }
}

/** Opens a path; errors are those of the runtime. */
function open(path: string, flags: number): number {
  return withRuntimeErrors(() =>
    unwrap(
      { syscall: "open", subject: path },
      () => libc().open(cString(path), flags | O_CLOEXEC, 0),
    )
  );
}

/** Has a system call throw the errors of the runtime, as far as there are such. */
export function withRuntimeErrors<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const options = { cause: error };
    switch (error.errno) {
      case ENOENT:
        throw new Deno.errors.NotFound(error.message, options);
      case EACCES:
        throw new Deno.errors.PermissionDenied(error.message, options);
      case ENOTDIR:
        throw new Deno.errors.NotADirectory(error.message, options);
    }
    throw error;
  }
}

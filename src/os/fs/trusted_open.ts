/**
 * Opening of files for writing in directories that other users may write to: a link of another user must not
 * lead this process to a file that only this process may write to.
 *
 * Links of root and of this process's user are followed, so that `/var/log` may lead to `/data/log`.
 *
 * @module
 */
import { AT_FDCWD, O_CLOEXEC, O_PATH } from "../ffi/constants.ts";
import { decodeBytes } from "../ffi/byte_text.ts";
import {
  closeFd,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_WRONLY,
} from "../fd/descriptor.ts";
import { EINVAL, ELOOP, ENOENT, SysError } from "../ffi/errors.ts";
import { fileStatus } from "../ffi/file_status.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { LINKS_MAX } from "./links.ts";

const PATH_BYTES = 4096;
/** Of openat2(2), on all architectures. */
const SYS_OPENAT2 = 437n, RESOLVE_NO_SYMLINKS = 4n;
const ROOT = 0, OTHERS_MAY_WRITE = 0o022, STICKY = 0o1000;

/** A component of a path, in the directory that the components before it lead to. */
interface Part {
  readonly directory: number;
  readonly name: string;
  /** The whole path, for errors. */
  readonly path: string;
}

/**
 * Opens a file, following only links of root and of this process's user. Concurrent changes of the
 * directories have no effect: each component is opened relative to the directory before it.
 *
 * @param path The path.
 * @param flags As in open(2). A link at the end is followed, also to create the file.
 * @param mode The mode of a new file, less the umask.
 * @returns The descriptor, close-on-exec and owned by the caller.
 * @throws {SysError} `ELOOP` for a link of another user, and any error of open(2).
 */
export function openTrusted(path: string, flags: number, mode = 0): number {
  return openParts(partsOf(path), { path, flags, mode });
}

/**
 * Opens the directory of a path, as {@linkcode openTrusted} does.
 *
 * @param path The path, whose last component is not looked at.
 * @returns The descriptor, only for calls relative to it, close-on-exec and owned by the caller.
 * @throws {SysError} As {@linkcode openTrusted}.
 */
export function openTrustedDirectory(path: string): number {
  const flags = O_PATH | O_DIRECTORY;
  return openWithoutLinks(path.slice(0, path.lastIndexOf("/") + 1) || ".", flags) ??
    openParts(partsOf(path).slice(0, -1), { path, flags, mode: 0 });
}

/**
 * Opens a path without any link on the way, in one system call: with a directory for each address that a
 * master opens, the other way would take twice the time of the rest. Undefined after any error.
 */
function openWithoutLinks(path: string, flags: number): number | undefined {
  const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, RESOLVE_NO_SYMLINKS]);
  const size = BigInt(how.byteLength);
  const fd = Number(libc().openat2(SYS_OPENAT2, AT_FDCWD, cString(path), how, size));
  return fd < 0 ? undefined : fd;
}

function openParts(left: string[], { path, flags, mode }: {
  readonly path: string;
  readonly flags: number;
  readonly mode: number;
}): number {
  let directory = openStart(path);
  const goTo = (next: number) => {
    closeFd(directory);
    directory = next;
  };
  try {
    for (let links = 0; links <= LINKS_MAX;) {
      const part = { directory, name: left.shift() ?? ".", path };
      const target = readTrustedLink(part);
      if (target !== undefined) {
        links++;
        left.unshift(...partsOf(target));
        if (target.startsWith("/")) goTo(openStart(target));
      } else if (left.length > 0) {
        goTo(openPart(part, O_PATH | O_DIRECTORY));
      } else return openPart(part, flags, mode);
    }
    throw new SysError("open", ELOOP, path);
  } finally {
    closeFd(directory);
  }
}

/**
 * Opens a file for appending, as {@linkcode openTrusted} does. It never blocks, and opens only a regular file:
 * another user may have put a named pipe in its place.
 *
 * @param path The path.
 * @param mode The mode of a new file, less the umask.
 * @returns The descriptor, close-on-exec and owned by the caller.
 * @throws {SysError} `EINVAL` for anything but a regular file, and as {@linkcode openTrusted}.
 */
export function openTrustedToAppend(path: string, mode: number): number {
  const fd = openTrusted(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, mode);
  if (fileStatus(fd, path).isRegular) return fd;
  closeFd(fd);
  throw new SysError("open", EINVAL, path, "it is no regular file");
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

/** Opens the directory that a path starts from. */
function openStart(path: string): number {
  return openPart({ directory: AT_FDCWD, name: path.startsWith("/") ? "/" : ".", path }, O_PATH);
}

/** Opens a component that is no link; a link that is created at this moment is an error. */
function openPart({ directory, name, path }: Part, flags: number, mode = 0): number {
  return unwrap(
    { syscall: "open", subject: path },
    () => libc().openat(directory, cString(name), flags | O_NOFOLLOW | O_CLOEXEC, mode),
  );
}

/**
 * The target of a link; undefined for any other file, or none.
 *
 * @throws {SysError} When it is another user's.
 */
function readTrustedLink(part: Part): string | undefined {
  const { path, name } = part;
  let fd: number;
  try {
    fd = openPart(part, O_PATH);
  } catch (error) {
    if (error instanceof SysError && error.errno === ENOENT) return undefined;
    throw error;
  }
  try {
    const { isSymlink, uid } = fileStatus(fd, path);
    if (!isSymlink) return undefined;
    if (!isTrusted(uid)) {
      const why = `"${name}" in it is a link of user ${uid}, which is not followed`;
      throw new SysError("open", ELOOP, path, why);
    }
    const room = new Uint8Array(PATH_BYTES);
    const length = unwrap(
      { syscall: "readlink", subject: path },
      () => libc().readlinkat(fd, cString(""), room, BigInt(room.length)),
    );
    return decodeBytes(room.subarray(0, length));
  } finally {
    closeFd(fd);
  }
}

/** Whether a user is root, or the one of this process. */
export function isTrusted(uid: number): boolean {
  return uid === ROOT || uid === libc().getuid();
}

/**
 * Whether another user could redirect a path, by a link or by replacing a file in it. The tests run on
 * threads, so that a hanging file system does not block this one.
 *
 * @param path An absolute path. Its last component need not exist.
 * @throws {Deno.errors.NotFound} When a directory in it does not exist.
 */
export async function othersMayRedirect(path: string): Promise<boolean> {
  const left = partsOf(path);
  let directory = "";
  for (let links = 0; left.length > 0 && links <= LINKS_MAX;) {
    const here = await Deno.lstat(directory || "/");
    const next = `${directory}/${left.shift()}`;
    const found = await lstatAtEnd(next, left.length === 0);
    if (!isClosedToOthers(here, found)) return true;
    if (!found?.isSymlink) {
      directory = next;
      continue;
    }
    links++;
    const target = await Deno.readLink(next);
    left.unshift(...partsOf(target));
    if (target.startsWith("/")) directory = "";
  }
  return left.length > 0;
}

async function lstatAtEnd(path: string, isEnd: boolean): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (isEnd && error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether only root and this user can replace an entry of a directory. */
function isClosedToOthers(directory: Deno.FileInfo, entry: Deno.FileInfo | undefined): boolean {
  if (!isTrusted(directory.uid ?? -1)) return false;
  const mode = directory.mode ?? OTHERS_MAY_WRITE;
  if ((mode & OTHERS_MAY_WRITE) === 0) return true;
  // In a sticky directory only the owner can move or remove an entry.
  return (mode & STICKY) !== 0 && entry !== undefined && isTrusted(entry.uid ?? -1);
}

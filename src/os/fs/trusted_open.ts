/**
 * Opening files to write to them, where other users may write to a directory on the way: a link that
 * one of them has put there must not lead this process to a file that it alone may write to.
 *
 * A link counts if it belongs to root or to this process's user, so that `/var/log` may lead to
 * `/data/log`.
 *
 * @module
 */
import { decodeBytes } from "../ffi/byte_text.ts";
import {
  closeFd,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_WRONLY,
} from "../fd/descriptor.ts";
import { EINVAL, ELOOP, ENOENT, SysError } from "../ffi/errors.ts";
import { fileStatus } from "../ffi/file_status.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";

const AT_FDCWD = -100, O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
const PATH_BYTES = 4096;
/** As many as the kernel follows (path_resolution(7)). */
const LINKS_MAX = 40;
const ROOT = 0, OTHERS_MAY_WRITE = 0o022, STICKY = 0o1000;

/** A part of a path, in the directory that the parts before it lead to. */
interface Part {
  readonly directory: number;
  readonly name: string;
  /** The whole path, for errors. */
  readonly path: string;
}

/**
 * Opens a file, following links of root and of this process's user alone. What others do with the
 * directories meanwhile changes nothing: each part of the path is opened in the directory before it.
 *
 * @param path The path.
 * @param flags As of open(2). A link at the end is followed, also where the file is to be made.
 * @param mode The mode of a new file, less the umask.
 * @returns The descriptor, close-on-exec and owned by the caller.
 * @throws {SysError} `ELOOP` for a link of another user, and whatever open(2) says.
 */
export function openTrusted(path: string, flags: number, mode = 0): number {
  const left = partsOf(path);
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
 * Opens a file to append to it, as {@linkcode openTrusted} does. It waits for nothing, and opens nothing
 * else that another user may have put in the place of the file, such as a named pipe.
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

/** The directory that a path starts from. */
function openStart(path: string): number {
  return openPart({ directory: AT_FDCWD, name: path.startsWith("/") ? "/" : ".", path }, O_PATH);
}

/** Opens what is there, if it is no link: one that is put there in this moment is an error. */
function openPart({ directory, name, path }: Part, flags: number, mode = 0): number {
  return unwrap(
    { syscall: "open", subject: path },
    () => libc().openat(directory, cString(name), flags | O_NOFOLLOW | O_CLOEXEC, mode),
  );
}

/**
 * Where a link leads to.
 *
 * @returns Undefined where there is something else, or nothing.
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

function isTrusted(uid: number): boolean {
  return uid === ROOT || uid === libc().getuid();
}

/**
 * Whether another user could make a path lead elsewhere: by a link, or by another file in place of
 * one that is there. It looks from threads, so that a file system that hangs holds nobody up.
 *
 * @param path An absolute path. Nothing needs to be at its end.
 * @throws {Deno.errors.NotFound} When a directory on the way is not there.
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

/** Whether nobody but root and this user can put anything in the place of an entry of a directory. */
function isClosedToOthers(directory: Deno.FileInfo, entry: Deno.FileInfo | undefined): boolean {
  if (!isTrusted(directory.uid ?? -1)) return false;
  const mode = directory.mode ?? OTHERS_MAY_WRITE;
  if ((mode & OTHERS_MAY_WRITE) === 0) return true;
  // There only its owner can move or remove an entry.
  return (mode & STICKY) !== 0 && entry !== undefined && isTrusted(entry.uid ?? -1);
}

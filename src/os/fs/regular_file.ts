/**
 * Reading of a whole file that another user may own, without a wait and up to a bound.
 *
 * @module
 */
import { O_CLOEXEC } from "../ffi/constants.ts";
import { closeFd, O_NOCTTY, O_NONBLOCK } from "../fd/descriptor.ts";
import { EFBIG, EINVAL, EISDIR, SysError } from "../ffi/errors.ts";
import { type FileStatus, fileStatus } from "../ffi/file_status.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { mayUseFfi } from "../ffi/permissions.ts";
import { statPath, withRuntimeErrors } from "./path.ts";
import { openTrusted } from "./trusted_open.ts";

/** How a file is read. */
export interface RegularFileOptions {
  /** The most bytes that it may have. */
  readonly most: number;
  /**
   * Whether only links of root and of this process's user are followed.
   *
   * @default {false}
   */
  readonly trustsNoLinks?: boolean;
}

const CHUNK_BYTES = 64 << 10;

/**
 * Reads a regular file. Its owner may put anything in its place at any moment, so everything is asked of the one
 * descriptor that is read: a named pipe, a device or a lease of the owner must not stop this process.
 *
 * Without FFI, where a process has the rights of its own files only, a pipe that takes the place between two calls
 * can stop it.
 *
 * @param path The file.
 * @param options How.
 * @throws {SysError} `EISDIR` for a directory, `EINVAL` for another file, `EFBIG` for one that is too large, `ELOOP`
 * for a link that is not followed, and any other error of open(2); those that the runtime has as an error of its
 * own are that error.
 */
export function readRegularFile(
  path: string,
  { most, trustsNoLinks = false }: RegularFileOptions,
): Uint8Array<ArrayBuffer> {
  // Opening a device can have an effect. Also, this asks for the permission to read.
  if (!trustsNoLinks) requireRegular(path, kindOf(statPath(path)));
  if (!mayUseFfi()) {
    using file = Deno.openSync(path);
    requireRegular(path, kindOf(file.statSync()));
    return readAll({ path, most, read: (room) => file.readSync(room) ?? 0 });
  }
  return withRuntimeErrors(() => {
    const flags = O_NONBLOCK | O_NOCTTY;
    const fd = trustsNoLinks ? openTrusted(path, flags) : open(path, flags);
    try {
      requireRegular(path, fileStatus(fd, path));
      const read = (room: Uint8Array<ArrayBuffer>) =>
        unwrap(
          { syscall: "read", subject: path },
          () => libc().read(fd, room, BigInt(room.length)),
        );
      return readAll({ path, most, read });
    } finally {
      closeFd(fd);
    }
  });
}

function open(path: string, flags: number): number {
  return unwrap(
    { syscall: "open", subject: path },
    () => libc().open(cString(path), flags | O_CLOEXEC, 0),
  );
}

type Kind = Pick<FileStatus, "isRegular" | "isDirectory">;

function kindOf({ isFile, isDirectory }: Deno.FileInfo): Kind {
  return { isRegular: isFile, isDirectory };
}

function requireRegular(path: string, { isRegular, isDirectory }: Kind): void {
  if (isDirectory) throw new SysError("read", EISDIR, path);
  if (!isRegular) throw new SysError("read", EINVAL, path, "it is no regular file");
}

/** Reads to the end. The size that the kernel tells can change meanwhile. */
function readAll({ path, most, read }: {
  readonly path: string;
  readonly most: number;
  readonly read: (room: Uint8Array<ArrayBuffer>) => number;
}): Uint8Array<ArrayBuffer> {
  let all = new Uint8Array(CHUNK_BYTES), length = 0;
  for (let count; (count = read(all.subarray(length))) > 0;) {
    length += count;
    if (length > most) throw new SysError("read", EFBIG, path);
    if (length === all.length) {
      const more = new Uint8Array(2 * all.length);
      more.set(all);
      all = more;
    }
  }
  return all.subarray(0, length);
}

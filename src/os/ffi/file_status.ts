/**
 * The status of the file behind any descriptor, also one that was opened with O_PATH, and of an entry of an open
 * directory (statx(2)).
 *
 * @module
 */
import { AT_EMPTY_PATH } from "./constants.ts";
import { cString, libc, unwrap } from "./libc.ts";

const STATX_BASIC_STATS = 0x7ff, AT_SYMLINK_NOFOLLOW = 0x100;
/** The size of `struct statx`, and the offsets in it; the same on all architectures. */
const STATX_BYTES = 256, UID_AT = 20, GID_AT = 24, MODE_AT = 28, INO_AT = 32, DEV_AT = 136;
const FILE_TYPE = 0o170000, DIRECTORY = 0o040000, SYMBOLIC_LINK = 0o120000, REGULAR = 0o100000;
const SOCKET = 0o140000, FIFO = 0o010000, MODE_BITS = 0o7777;

/** Device and inode of a file, which identify it while it exists. */
export interface FileId {
  /** The device, in the form of {@linkcode Deno.FileInfo}. */
  readonly dev: number;
  readonly ino: number;
}

/** The same as {@linkcode Deno.stat} tells it; its inode is null on other systems only. */
type KnownFile = Pick<Deno.FileInfo, "dev" | "ino">;

/** Whether two files are one; a missing file is none. */
export function isSameFile(one: KnownFile | undefined, other: KnownFile): boolean {
  return one?.dev === other.dev && one.ino === other.ino;
}

/** A file, as its inode describes it. */
export interface FileStatus extends FileId {
  /** The device in the form of proc(5), `MAJOR:MINOR`. */
  readonly device: string;
  /** The permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
  readonly isRegular: boolean;
  readonly isSocket: boolean;
  /** Whether it is a pipe, with or without a name. */
  readonly isFifo: boolean;
}

/**
 * Describes the file behind a descriptor.
 *
 * @param fd The descriptor.
 * @param subject Its path, for the error.
 * @throws {SysError} When it is not open.
 */
export function fileStatus(fd: number, subject: string): FileStatus {
  return readStatus({ directory: fd, name: cString(""), flags: AT_EMPTY_PATH, subject });
}

/**
 * Describes an entry of an open directory without following a link.
 *
 * @param directory The directory.
 * @param name The name, NUL-terminated.
 * @param subject Its path, for the error.
 * @throws {SysError} When there is none.
 */
export function statusAt(
  directory: number,
  name: Uint8Array<ArrayBuffer>,
  subject: string,
): FileStatus {
  return readStatus({ directory, name, flags: AT_SYMLINK_NOFOLLOW, subject });
}

function readStatus({ directory, name, flags, subject }: {
  readonly directory: number;
  readonly name: Uint8Array<ArrayBuffer>;
  readonly flags: number;
  readonly subject: string;
}): FileStatus {
  const bytes = new Uint8Array(STATX_BYTES), view = new DataView(bytes.buffer);
  unwrap(
    { syscall: "statx", subject },
    () => libc().statx(directory, name, flags, STATX_BASIC_STATS, bytes),
  );
  const mode = view.getUint16(MODE_AT, true), type = mode & FILE_TYPE;
  const [major, minor] = [view.getUint32(DEV_AT, true), view.getUint32(DEV_AT + 4, true)];
  return {
    dev: deviceNumber(major, minor),
    device: [major, minor].map((part) => part.toString(16).padStart(2, "0")).join(":"),
    ino: Number(view.getBigUint64(INO_AT, true)),
    mode: mode & MODE_BITS,
    uid: view.getUint32(UID_AT, true),
    gid: view.getUint32(GID_AT, true),
    isDirectory: type === DIRECTORY,
    isSymlink: type === SYMBOLIC_LINK,
    isRegular: type === REGULAR,
    isSocket: type === SOCKET,
    isFifo: type === FIFO,
  };
}

/** Like makedev(3), which interleaves parts of the two numbers. */
function deviceNumber(major: number, minor: number): number {
  const high = (major & ~0xfff) >>> 0, low = (minor & ~0xff) >>> 0;
  return high * 2 ** 32 + low * 2 ** 12 + (major & 0xfff) * 2 ** 8 + (minor & 0xff);
}

/**
 * The entries of /proc/self (proc(5)), also where the name does not reach them: after a change of the root
 * directory, and for a program with the FFI permission only, since the runtime wants all permissions for
 * /proc.
 *
 * @module
 */
import { AT_FDCWD, F_GETFD, O_CLOEXEC, O_PATH } from "./constants.ts";
import { decodeBytes } from "./byte_text.ts";
import { entriesOf } from "./directory_entries.ts";
import { ENOENT, SysError } from "./errors.ts";
import { fileStatus } from "./file_status.ts";
import { cString, libc, unwrap } from "./libc.ts";

const PROC_SELF = "/proc/self";
const PATH_BYTES = 4096;
const SEEK_SET = 0;
const EPOLL = "anon_inode:[eventpoll]";
/** More than the size of struct statfs, which begins with the type of the file system. */
const STATFS_BYTES = 256, PIPEFS_MAGIC = 0x50495045n;

/** The directory, kept open for a time when its name may not lead to it. */
let kept: number | undefined;
/** Open files of it, for a process in another root that must hold no directory outside. */
let files: ReadonlyMap<string, number> | undefined;
let isReadableByName: boolean | undefined;
/** The path of the program, which the runtime would look for there later, and abort if it is missing. */
let executable: string | undefined;

/**
 * Keeps /proc/self open for the rest of the process; must be called before a change of its root.
 *
 * @throws {SysError} When there is no /proc, or at the limit of open files.
 */
export function keepProcSelf(): void {
  executable ??= Deno.execPath();
  kept ??= openIn(PROC_SELF, O_PATH);
}

/**
 * Keeps only the files that are read later open, and no directory, which would be a way out of the new root:
 * the status of this process, and the registrations of its epoll instances. All other entries are determined
 * in other ways. Must be called before a change of the root.
 *
 * @throws {SysError} When there is no /proc, or at the limit of open files.
 */
export function keepProcSelfFiles(): void {
  if (files !== undefined) return;
  executable ??= Deno.execPath();
  const isEpoll = (fd: string) => readLinkProcSelf(`fd/${fd}`) === EPOLL;
  const watching = listProcSelf("fd").filter((fd) => isOpen(Number(fd)) && isEpoll(fd));
  const paths = ["status", ...watching.map((fd) => `fdinfo/${fd}`)];
  const opened = new Map(paths.map((path) => [path, openIn(`${PROC_SELF}/${path}`, 0)]));
  if (kept !== undefined) libc().close(kept);
  kept = undefined;
  files = opened;
}

/** The path of the running program: Deno, or a compiled one. */
export function execPath(): string {
  return executable ?? Deno.execPath();
}

/** Lists a directory, by its path relative to /proc/self. */
export function listProcSelf(path: string): string[] {
  if (files !== undefined) return path === "fd" ? openNumbers() : missing(path);
  if (directoryInUse() === undefined) {
    return [...Deno.readDirSync(`${PROC_SELF}/${path}`)].map(({ name }) => name);
  }
  return entriesOf(openIn(path, 0));
}

/** Reads a link, by its path relative to /proc/self. */
export function readLinkProcSelf(path: string): string {
  if (files !== undefined) return describe(path);
  const directory = directoryInUse();
  if (directory === undefined) return Deno.readLinkSync(`${PROC_SELF}/${path}`);
  const room = new Uint8Array(PATH_BYTES);
  const length = unwrap(
    { syscall: "readlink", subject: `${PROC_SELF}/${path}` },
    () => libc().readlinkat(directory, cString(path), room, BigInt(room.length)),
  );
  return new TextDecoder().decode(room.subarray(0, length));
}

/** Reads a text file, by its path relative to /proc/self. */
export function readTextProcSelf(path: string): string {
  return new TextDecoder().decode(readBytesProcSelf(path));
}

function readBytesProcSelf(path: string): Uint8Array {
  if (files !== undefined) {
    const fd = files.get(path) ?? missing(path);
    libc().lseek(fd, 0n, SEEK_SET);
    return readAll(fd, path);
  }
  if (directoryInUse() === undefined) return Deno.readFileSync(`${PROC_SELF}/${path}`);
  const fd = openIn(path, 0);
  try {
    return readAll(fd, path);
  } finally {
    libc().close(fd);
  }
}

function readAll(fd: number, path: string): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const room = new Uint8Array(PATH_BYTES);
    const count = unwrap(
      { syscall: "read", subject: `${PROC_SELF}/${path}` },
      () => libc().read(fd, room, BigInt(room.length)),
    );
    if (count === 0) return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
    pieces.push(room.subarray(0, count));
  }
}

/** The link of a descriptor, as directory and path for system calls of the `at` family. */
export function procSelfLink(fd: number): [directory: number, path: string] {
  const directory = directoryInUse();
  return directory === undefined ? [AT_FDCWD, `${PROC_SELF}/fd/${fd}`] : [directory, `fd/${fd}`];
}

/** The arguments of this program, byte for byte: the runtime replaces bytes that are not UTF-8 by U+FFFD. */
export function ownArguments(): readonly string[] {
  if (!Deno.args.some((arg) => arg.includes("\ufffd"))) return Deno.args;
  const argv = ownCommandLine();
  return argv.slice(argv.length - Deno.args.length);
}

/** The command line of this process, byte for byte, with the program and the runtime's arguments. */
export function ownCommandLine(): string[] {
  return splitAtNul(readBytesProcSelf("cmdline")).map(decodeBytes);
}

function splitAtNul(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0, start);
    parts.push(bytes.subarray(start, end < 0 ? bytes.length : end));
    start = end < 0 ? bytes.length : end + 1;
  }
  return parts;
}

/** Whether an error of these functions means that the entry does not exist. */
export function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof SysError && error.errno === ENOENT;
}

/** The open descriptors, tested one by one up to the kernel's limit. */
function openNumbers(): string[] {
  const [, size] = /^FDSize:\s*(\d+)/m.exec(readTextProcSelf("status")) ?? [];
  return Array.from({ length: Number(size) }, (_, fd) => fd).filter(isOpen).map(String);
}

function isOpen(fd: number): boolean {
  return libc().fcntl(fd, F_GETFD, 0) >= 0;
}

/** The target of a descriptor in the form of /proc; only the path of a named pipe is unknown. */
function describe(path: string): string {
  const [, number] = /^fd\/(\d+)$/.exec(path) ?? missing(path), fd = Number(number);
  if (files?.has(`fdinfo/${fd}`)) return EPOLL;
  if (!isOpen(fd)) missing(path);
  const { ino, isSocket, isFifo } = fileStatus(fd, `${PROC_SELF}/${path}`);
  const kind = isSocket ? "socket" : !isFifo ? "file" : isUnnamed(fd) ? "pipe" : "fifo";
  return `${kind}:[${ino}]`;
}

function isUnnamed(pipe: number): boolean {
  const found = new Uint8Array(STATFS_BYTES);
  libc().fstatfs(pipe, found);
  return new DataView(found.buffer).getBigUint64(0, true) === PIPEFS_MAGIC;
}

function missing(path: string): never {
  throw new SysError("open", ENOENT, `${PROC_SELF}/${path}`);
}

/** The directory that is kept open, or undefined where the name still reaches it. */
function directoryInUse(): number | undefined {
  if (files !== undefined) return undefined;
  if (kept === undefined && !(isReadableByName ??= mayReadByName())) keepProcSelf();
  return kept;
}

function mayReadByName(): boolean {
  try {
    Deno.readLinkSync(`${PROC_SELF}/exe`);
  } catch (error) {
    return !(error instanceof Deno.errors.NotCapable);
  }
  return true;
}

/** Opens a path for reading, relative to the directory that is kept open, if there is one. */
function openIn(path: string, flags: number): number {
  return unwrap(
    { syscall: "open", subject: path },
    () => libc().openat(kept ?? -1, cString(path), flags | O_CLOEXEC, 0),
  );
}

/**
 * Limits of this process and of those that it starts (setrlimit(2)).
 *
 * @module
 */
import { libc, unwrap } from "../ffi/libc.ts";
import { readTextProcSelf } from "../ffi/proc_self.ts";

const RLIMIT_DATA = 2, RLIMIT_CORE = 4, RLIMIT_NOFILE = 7;

/** The soft limit of open files that the kernel and systemd give, and above which select(2) fails. */
const USUAL_OPEN_FILES = 1024;
/** The variable by which a master hands on the limit that it was started with. */
const OPEN_FILES_VARIABLE = "ZC_OPEN_FILES";

/** RLIM_INFINITY. */
const UNLIMITED = 2n ** 64n - 1n;

/**
 * Limits how much memory this process, and each that it starts, may use for data (RLIMIT_DATA).
 *
 * What is mapped by now and not in use comes on top: the runtime maps half a gigabyte for code that
 * it never fills, and with a limit below that it could not start another of its kind. The limit of
 * the address space (RLIMIT_AS) is no help: the runtime reserves tens of gigabytes of it.
 *
 * @param bytes The limit; Infinity for none.
 * @throws {SysError} When it is above what this process may ask for.
 */
export function limitMemory(bytes: number): void {
  setLimit(RLIMIT_DATA, bytes + mappedAndUnused());
}

/** See proc_pid_status(5). */
function mappedAndUnused(): number {
  const status = readTextProcSelf("status");
  const bytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
  return Math.max(0, bytes("VmData") - bytes("RssAnon"));
}

/**
 * Limits the size of a core file.
 *
 * @param bytes The limit; Infinity for none.
 * @throws {SysError} When it is above what this process may ask for.
 */
export function limitCoreFile(bytes: number): void {
  setLimit(RLIMIT_CORE, bytes);
}

/**
 * The soft limit of open files with which this process was started. The runtime raises it to the hard
 * one and keeps no record, so it is the parent's, where that has the same hard limit. To be called once,
 * at the start.
 */
export function openFilesAtStart(): number {
  const given = Deno.env.get(OPEN_FILES_VARIABLE);
  Deno.env.delete(OPEN_FILES_VARIABLE);
  if (given !== undefined) return Number(given);
  const [, hard] = openFilesOf("self"), [soft, parentHard] = openFilesOf(Deno.ppid);
  return parentHard === hard ? soft : Math.min(USUAL_OPEN_FILES, hard);
}

/**
 * The variable for another master that is started in the place of this one.
 *
 * @param soft What {@linkcode openFilesAtStart} has told.
 */
export function openFilesVariable(soft: number): Record<string, string> {
  return { [OPEN_FILES_VARIABLE]: String(soft) };
}

/** See proc_pid_limits(5); unknown where it can't be read. */
function openFilesOf(process: number | "self"): [soft: number, hard: number] {
  const path = process === "self" ? "limits" : `../${process}/limits`;
  try {
    const found = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readTextProcSelf(path));
    return [Number(found?.[1]), Number(found?.[2])];
  } catch {
    // The parent is gone, or another user's.
    return [NaN, NaN];
  }
}

/**
 * Lowers the soft limit of open files of this process while something is started, which inherits it.
 *
 * @param soft The limit; not above the hard one.
 * @param start Starts it.
 * @returns What that returns.
 */
export function withOpenFiles<T>(soft: number, start: () => T): T {
  const before = limitOpenFiles(soft);
  try {
    return start();
  } finally {
    libc().prlimit(0, RLIMIT_NOFILE, before, null);
  }
}

/**
 * Lowers the soft limit of open files of this process.
 *
 * @param soft The limit; not above the hard one.
 * @returns What it was, as a `struct rlimit`.
 */
export function limitOpenFiles(soft: number): Uint8Array<ArrayBuffer> {
  const before = new BigUint64Array(2), bytes = new Uint8Array(before.buffer);
  unwrap({ syscall: "prlimit" }, () => libc().prlimit(0, RLIMIT_NOFILE, null, bytes));
  const wanted = BigInt(soft), [, hard] = before;
  const limit = new BigUint64Array([wanted < hard ? wanted : hard, hard]);
  unwrap(
    { syscall: "prlimit", subject: soft },
    () => libc().prlimit(0, RLIMIT_NOFILE, new Uint8Array(limit.buffer), null),
  );
  return bytes;
}

function setLimit(resource: number, bytes: number): void {
  const value = bytes === Infinity ? UNLIMITED : BigInt(bytes);
  const limit = new BigUint64Array([value, value]);
  unwrap(
    { syscall: "setrlimit", subject: bytes },
    () => libc().setrlimit(resource, new Uint8Array(limit.buffer)),
  );
}

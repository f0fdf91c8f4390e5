/**
 * Resource limits of this process and its children (setrlimit(2)).
 *
 * @module
 */
import { libc, unwrap } from "../ffi/libc.ts";
import { readTextProcSelf } from "../ffi/proc_self.ts";

const RLIMIT_DATA = 2, RLIMIT_CORE = 4, RLIMIT_NOFILE = 7;

/** The usual soft limit of open files of the kernel and systemd, above which select(2) fails. */
const USUAL_OPEN_FILES = 1024;
/** The variable in which a master passes on its initial limit. */
const OPEN_FILES_VARIABLE = "ZC_OPEN_FILES";

/** RLIM_INFINITY. */
const UNLIMITED = 2n ** 64n - 1n;

/**
 * Limits the memory for data of this process and of each child (RLIMIT_DATA).
 *
 * Memory that is mapped but unused now is added: the runtime maps half a gigabyte for code that it never
 * fills, and could not start another process of its kind under a lower limit. The limit of the address
 * space (RLIMIT_AS) does not fit: the runtime reserves tens of gigabytes of it.
 *
 * @param bytes The limit; Infinity for none.
 * @throws {SysError} When it exceeds the permitted maximum.
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
 * @throws {SysError} When it exceeds the permitted maximum.
 */
export function limitCoreFile(bytes: number): void {
  setLimit(RLIMIT_CORE, bytes);
}

/**
 * Returns the initial soft limit of open files of this process. The runtime raises the limit to the hard
 * one without a record, so the result is the parent's limit, if the hard limits are equal. Must be called
 * once, at the start.
 */
export function openFilesAtStart(): number {
  const given = Deno.env.get(OPEN_FILES_VARIABLE);
  Deno.env.delete(OPEN_FILES_VARIABLE);
  if (given !== undefined) return Number(given);
  const [, hard] = openFilesOf("self"), [soft, parentHard] = openFilesOf(Deno.ppid);
  return parentHard === hard ? soft : Math.min(USUAL_OPEN_FILES, hard);
}

/** Returns the variable that passes the limit to the new master of an upgrade. */
export function openFilesVariable(soft: number): Record<string, string> {
  return { [OPEN_FILES_VARIABLE]: String(soft) };
}

/** See proc_pid_limits(5); NaN where it can't be read. */
function openFilesOf(process: number | "self"): [soft: number, hard: number] {
  const path = process === "self" ? "limits" : `../${process}/limits`;
  try {
    const found = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readTextProcSelf(path));
    return [Number(found?.[1]), Number(found?.[2])];
  } catch {
    // The parent has ended, or belongs to another user.
    return [NaN, NaN];
  }
}

/** Lowers the soft limit of open files of this process during `start`, whose children inherit it. */
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
 * @returns The previous limit, as a `struct rlimit`.
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

/**
 * The other processes of the system, as far as the kernel shows them (proc(5)). Hidden ones, of another user
 * or in another root, are skipped.
 *
 * @module
 */
import { type FileId, isSameFile } from "../ffi/file_status.ts";

const PROC = "/proc";
/** A link target that is not the path of a file. */
const NO_PATH = /^[a-z_]+:/;

/** A descriptor of a process. */
export interface OpenDescriptor {
  readonly pid: number;
  readonly fd: number;
  /** The target, such as `socket:[4600]` or a path. */
  readonly target: string;
}

/** All visible processes. */
export function processes(): number[] {
  return list(PROC).map(Number).filter(Number.isInteger);
}

/** Whether this process may read the descriptors of another one, or that one has ended. */
export function showsDescriptors(pid: number): boolean {
  const names = ifShown(() => Array.from(Deno.readDirSync(`${PROC}/${pid}/fd`)));
  return names !== undefined || userOf(pid) === undefined;
}

/** All descriptors of all readable processes, this one included. */
export function* openDescriptorsOfAll(): Generator<OpenDescriptor> {
  for (const pid of processes()) {
    for (const number of list(`${PROC}/${pid}/fd`)) {
      const fd = Number(number);
      const target = ifShown(() => Deno.readLinkSync(descriptorPath({ pid, fd })));
      if (target !== undefined) yield { pid, fd, target };
    }
  }
}

/** The descriptors of all readable processes that refer to one file, given by its device and inode. */
export function* openDescriptorsOf(file: FileId): Generator<OpenDescriptor> {
  for (const descriptor of openDescriptorsOfAll()) {
    if (NO_PATH.test(descriptor.target)) continue;
    const found = ifShown(() => Deno.statSync(descriptorPath(descriptor)));
    if (isSameFile(found, file)) yield descriptor;
  }
}

/** The kernel's information about a descriptor: its flags and its locks. */
export function descriptorInfo({ pid, fd }: Pick<OpenDescriptor, "pid" | "fd">): string {
  return ifShown(() => Deno.readTextFileSync(`${PROC}/${pid}/fdinfo/${fd}`)) ?? "";
}

/** The effective user of a process, also of one that lets nobody look into it. */
export function userOf(pid: number): number | undefined {
  return ifShown(() => Deno.statSync(`${PROC}/${pid}`))?.uid ?? undefined;
}

/**
 * Describes a process, such as `process 4711 ("nginx")`; without the program where it is unknown. Not by its
 * arguments: they are in its memory, and it can keep a reader of that waiting for ever.
 */
export function describeProcess(pid: number): string {
  const name = programOf(pid);
  return `process ${pid}${name === undefined ? "" : ` (${JSON.stringify(name)})`}`;
}

/** The name of a running program, at most 15 bytes; undefined without such a process. */
export function programOf(pid: number): string | undefined {
  return readProc(`${pid}/comm`).trim() || undefined;
}

/** The arguments of a process, its program included. */
export function argumentsOf(pid: number): string[] {
  return readProc(`${pid}/cmdline`).split("\0").slice(0, -1);
}

/** The child processes of a process. */
export function childrenOf(parent: number): number[] {
  return processes().filter((pid) => parentOf(pid) === parent);
}

/** Whether a process is a child of another one, directly or indirectly. */
export function isDescendant(pid: number, ancestor: number): boolean {
  for (let at = parentOf(pid); at > 0; at = parentOf(at)) if (at === ancestor) return true;
  return false;
}

/** The process group of a process; undefined without such a process. */
export function groupOf(pid: number): number | undefined {
  const group = statFields(readProc(`${pid}/stat`))[5];
  return group === undefined ? undefined : Number(group);
}

/** The fields of proc_pid_stat(5) by their numbers in it, from 3 on; the first two are left out. */
export function statFields(stat: string): (string | undefined)[] {
  // The name of the program may contain spaces and brackets.
  return ["", "", "", ...stat.slice(stat.lastIndexOf(")") + 2).split(" ")];
}

/** The parent of a process; 0 if there is none. */
function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(readProc(`${pid}/status`))?.[1] ?? 0);
}

/** Sends a signal; does nothing if the process has ended. */
export function signalProcess(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Reads a file of /proc, by a relative path; empty where it is not readable. */
export function readProc(path: string): string {
  return ifShown(() => Deno.readTextFileSync(`${PROC}/${path}`)) ?? "";
}

function descriptorPath({ pid, fd }: Pick<OpenDescriptor, "pid" | "fd">): string {
  return `${PROC}/${pid}/fd/${fd}`;
}

function list(path: string): string[] {
  return ifShown(() => Array.from(Deno.readDirSync(path), ({ name }) => name)) ?? [];
}

/** Whether this process may read /proc; tested without a permission prompt. */
let mayLook: boolean | undefined;

/** Undefined for an entry that is hidden or has ended. */
function ifShown<T>(read: () => T): T | undefined {
  mayLook ??= Deno.permissions.querySync({ name: "read", path: PROC }).state === "granted";
  try {
    return mayLook ? read() : undefined;
  } catch {
    return undefined;
  }
}

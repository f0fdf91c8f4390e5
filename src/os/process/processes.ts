/**
 * The other processes of the system, as far as the kernel shows them to this one (proc(5)). What it
 * does not show, to another user or in another root, is passed over without a word.
 *
 * @module
 */

const PROC = "/proc";
/** What no file of a file system is named. */
const NO_PATH = /^[a-z_]+:/;

/** A descriptor of a process. */
export interface OpenDescriptor {
  readonly pid: number;
  readonly fd: number;
  /** What it refers to, such as `socket:[4600]` or a path. */
  readonly target: string;
}

/** All processes that the kernel shows to this one. */
export function processes(): number[] {
  return list(PROC).map(Number).filter(Number.isInteger);
}

/**
 * Whether this process may look at the descriptors of another one, or that has ended by now.
 *
 * @param pid The process.
 */
export function showsDescriptors(pid: number): boolean {
  const names = ifShown(() => Array.from(Deno.readDirSync(`${PROC}/${pid}/fd`)));
  return names !== undefined || userOf(pid) === undefined;
}

/** All descriptors of all processes that this one may look into, its own included. */
export function* openDescriptorsOfAll(): Generator<OpenDescriptor> {
  for (const pid of processes()) {
    for (const number of list(`${PROC}/${pid}/fd`)) {
      const fd = Number(number);
      const target = ifShown(() => Deno.readLinkSync(descriptorPath({ pid, fd })));
      if (target !== undefined) yield { pid, fd, target };
    }
  }
}

/**
 * The descriptors of all processes that refer to one file.
 *
 * @param file Device and inode of the file.
 */
export function* openDescriptorsOf(
  { dev, ino }: { readonly dev: number; readonly ino: number },
): Generator<OpenDescriptor> {
  for (const descriptor of openDescriptorsOfAll()) {
    if (NO_PATH.test(descriptor.target)) continue;
    const found = ifShown(() => Deno.statSync(descriptorPath(descriptor)));
    if (found?.dev === dev && found.ino === ino) yield descriptor;
  }
}

/**
 * What the kernel tells of a descriptor: flags, and the locks that it has.
 *
 * @param descriptor The descriptor.
 */
export function descriptorInfo({ pid, fd }: Pick<OpenDescriptor, "pid" | "fd">): string {
  return ifShown(() => Deno.readTextFileSync(`${PROC}/${pid}/fdinfo/${fd}`)) ?? "";
}

/**
 * The user of a process; root for one that has changed its user.
 *
 * @param pid The process.
 */
export function userOf(pid: number): number | undefined {
  return ifShown(() => Deno.statSync(`${PROC}/${pid}`))?.uid ?? undefined;
}

/**
 * Names a process for a message.
 *
 * @param pid The process.
 * @returns Such as `process 4711 ("nginx")`; without the program where the kernel does not tell it.
 */
export function describeProcess(pid: number): string {
  const [program = ""] = readProc(`${pid}/cmdline`).split("\0");
  const name = program.slice(program.lastIndexOf("/") + 1) || readProc(`${pid}/comm`).trim();
  return `process ${pid}${name === "" ? "" : ` (${JSON.stringify(name)})`}`;
}

/**
 * The name of a program that runs, as the kernel has it: 15 bytes at most.
 *
 * @param pid The process.
 * @returns Undefined where there is no such process.
 */
export function programOf(pid: number): string | undefined {
  return readProc(`${pid}/comm`).trim() || undefined;
}

/**
 * The arguments of a process, its program included.
 *
 * @param pid The process.
 */
export function argumentsOf(pid: number): string[] {
  return readProc(`${pid}/cmdline`).split("\0").slice(0, -1);
}

/**
 * The processes whose parent is a certain one.
 *
 * @param parent That one.
 */
export function childrenOf(parent: number): number[] {
  return processes().filter((pid) => parentOf(pid) === parent);
}

/**
 * Whether a process was started by another one, or by one that was, and so on.
 *
 * @param pid The process.
 * @param ancestor The other one.
 */
export function isDescendant(pid: number, ancestor: number): boolean {
  for (let at = parentOf(pid); at > 0; at = parentOf(at)) if (at === ancestor) return true;
  return false;
}

/**
 * The process group of a process.
 *
 * @param pid The process.
 * @returns Undefined where there is no such process.
 */
export function groupOf(pid: number): number | undefined {
  // The name before it may have spaces and brackets in it.
  const group = /^.*\) \S+ \d+ (\d+)/s.exec(readProc(`${pid}/stat`))?.[1];
  return group === undefined ? undefined : Number(group);
}

/** 0 where there is none. */
function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(readProc(`${pid}/status`))?.[1] ?? 0);
}

/**
 * Sends a signal; nothing happens where the process has ended.
 *
 * @param pid The process.
 * @param signal Which one.
 */
export function signalProcess(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Reads a file of /proc.
 *
 * @param path Relative to /proc.
 * @returns Its text; empty where it is not shown.
 */
export function readProc(path: string): string {
  return ifShown(() => Deno.readTextFileSync(`${PROC}/${path}`)) ?? "";
}

function descriptorPath({ pid, fd }: Pick<OpenDescriptor, "pid" | "fd">): string {
  return `${PROC}/${pid}/fd/${fd}`;
}

function list(path: string): string[] {
  return ifShown(() => Array.from(Deno.readDirSync(path), ({ name }) => name)) ?? [];
}

/** Whether this process may look; without a person being asked for it. */
let mayLook: boolean | undefined;

/** Undefined for what is not shown, or has ended by now. */
function ifShown<T>(read: () => T): T | undefined {
  mayLook ??= Deno.permissions.querySync({ name: "read", path: PROC }).state === "granted";
  try {
    return mayLook ? read() : undefined;
  } catch {
    return undefined;
  }
}

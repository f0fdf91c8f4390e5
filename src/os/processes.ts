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

/** All descriptors of all processes that this one may look into, its own included. */
export function* openDescriptorsOfAll(): Generator<OpenDescriptor> {
  for (const name of list(PROC)) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
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

/** Programs that start one process, and end, or start it anew, when it ends. */
const PARENTS_OF_ONE: ReadonlySet<string> = new Set([
  ...["tini", "tini-static", "docker-init", "dumb-init", "catatonit"],
  ...["supervisord", "runsv", "s6-supervise"],
]);

/**
 * Whether a process takes the end of a child for the end of all that it has started.
 *
 * @param pid The process.
 */
export function endsWithItsChild(pid: number): boolean {
  return programNames(pid).some((name) => PARENTS_OF_ONE.has(name));
}

/** By its first arguments: a script comes behind its interpreter. */
function programNames(pid: number): string[] {
  const words = readProc(`${pid}/cmdline`).split("\0").slice(0, 2);
  return words.map((word) => word.slice(word.lastIndexOf("/") + 1));
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

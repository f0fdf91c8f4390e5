/**
 * What can be executed on this machine.
 *
 * @module
 */
import { readBeginning, statPath } from "../fs/path.ts";
import { execPath } from "../ffi/proc_self.ts";

/** What a binary begins with. */
const ELF_MAGIC = "\x7fELF";

/** So many bytes of the first line of a script does the kernel read (execve(2)). */
const LONGEST_LINE = 256;

/**
 * Where the running program, Deno or a compiled one, can be started from now. Its file may have been
 * removed since, as a version manager does: then its name leads to another version, and without that
 * the kernel still has the old one.
 *
 * @param first Which comes first: the file that runs, or the file that its name leads to by now.
 * @param start The name by which it was started, and the directory in which it was.
 */
export function ownProgram(
  first: "file" | "name",
  start: { readonly name: string; readonly cwd: string },
): string {
  const { name, cwd } = start, file = execPath();
  const named = name.includes("/")
    ? [name.startsWith("/") ? name : `${cwd}/${name}`]
    : searchPath().map((directory) => `${directory}/${name}`);
  const candidates = first === "file" ? [file, ...named] : [...named, file];
  return candidates.find(isExecutable) ?? `/proc/${Deno.pid}/exe`;
}

/** The directories of `PATH`. */
export function searchPath(): string[] {
  return (Deno.env.get("PATH") ?? "/usr/local/bin:/usr/bin:/bin").split(":");
}

/**
 * A path with every link in it resolved.
 *
 * @param path The path.
 * @returns The path as it is where it leads to nothing.
 */
export function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    // What makes use of the path says what is wrong with it.
    return path;
  }
}

/**
 * Whether a path leads to a file.
 *
 * @param path The path.
 */
export function isFile(path: string): boolean {
  return stat(path)?.isFile === true;
}

/**
 * Whether a path leads to a directory.
 *
 * @param path The path.
 */
export function isDirectory(path: string): boolean {
  return stat(path)?.isDirectory === true;
}

/**
 * Whether a path is a link that leads nowhere.
 *
 * @param path The path.
 */
export function isDeadLink(path: string): boolean {
  try {
    return stat(path) === undefined && Deno.lstatSync(path).isSymlink;
  } catch {
    // Not even a link is there.
    return false;
  }
}

/**
 * Whether a path leads to a file that somebody may execute; whether this process may is known when
 * it tries.
 *
 * @param path The path.
 */
export function isExecutable(path: string): boolean {
  const found = stat(path);
  return found?.isFile === true && ((found.mode ?? 0) & 0o111) !== 0;
}

/**
 * What tells one version of a file from another without reading it.
 *
 * @param path The path.
 * @returns Device, inode, size and time of the last change; undefined where there is no file.
 */
export function fileStamp(path: string): string | undefined {
  const found = stat(path);
  if (found?.isFile !== true) return undefined;
  return [found.dev, found.ino, found.size, found.mtime?.getTime()].join(":");
}

/**
 * Tells of a file or directory that everybody may write to, where that matters: whoever changes what
 * root runs or reads is root.
 *
 * @param path The path; a link stands for what it leads to.
 * @returns The bits of its mode; undefined where not everybody may write to it, where there is nothing,
 * and in every process that is not root's.
 */
export function looseMode(path: string): number | undefined {
  if (Deno.uid() !== 0) return undefined;
  const mode = (stat(path)?.mode ?? 0) & 0o7777;
  return (mode & 0o002) === 0 ? undefined : mode;
}

/**
 * The first line of a script, which names its interpreter.
 *
 * @param path The path.
 * @returns The line from `#!` on; empty for any other file, and for one that can't be read.
 */
export function interpreterLine(path: string): string {
  const [line] = (beginning(path) ?? "").split("\n", 1);
  return line.startsWith("#!") ? line : "";
}

/**
 * Whether the kernel can start a file by itself. It can't if the file is a script that names no
 * interpreter, which execvp(3) gives to a shell, or one whose interpreter is missing.
 *
 * @param path The path.
 * @returns True for a file that can't be read, since nothing is known of it.
 */
export function isStartedByKernel(path: string): boolean {
  const text = beginning(path);
  if (text === undefined || text.startsWith(ELF_MAGIC)) return true;
  const interpreter = /^#![ \t]*([^ \t\n]+)/.exec(text)?.[1];
  return interpreter !== undefined && isExecutable(interpreter);
}

/** The first bytes of a file, as text; undefined if it can't be read. */
function beginning(path: string): string | undefined {
  try {
    return readBeginning(path, LONGEST_LINE);
  } catch {
    // A program may be executable and yet not readable; then it is no script.
    return undefined;
  }
}

function stat(path: string): Deno.FileInfo | undefined {
  try {
    return statPath(path);
  } catch {
    // Not there, not reachable, not readable: not a program in any case.
    return undefined;
  }
}

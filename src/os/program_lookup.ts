/**
 * What can be executed on this machine.
 *
 * @module
 */
import { execPath } from "./proc_self.ts";

/** The path of the Deno that runs this program, or undefined in a compiled program. */
export function denoPath(): string | undefined {
  return Deno.build.standalone ? undefined : execPath();
}

/** The directories of `PATH`. */
export function searchPath(): string[] {
  return (Deno.env.get("PATH") ?? "/usr/local/bin:/usr/bin:/bin").split(":");
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
  const room = new Uint8Array(256);
  try {
    using file = Deno.openSync(path);
    const count = file.readSync(room) ?? 0;
    const [line] = new TextDecoder().decode(room.subarray(0, count)).split("\n", 1);
    return line.startsWith("#!") ? line : "";
  } catch {
    // A program may be executable and yet not readable; then it is no script.
    return "";
  }
}

function stat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    // Not there, not reachable, not readable: not a program in any case.
    return undefined;
  }
}

/**
 * Lookup of programs and files: PATH, links, modes and script interpreters.
 *
 * @module
 */
import { resolveLinks } from "../fs/links.ts";
import { readBeginning, statPath } from "../fs/path.ts";
import { readRegularFile } from "../fs/regular_file.ts";
import { decodeBytes } from "../ffi/byte_text.ts";
import { execPath } from "../ffi/proc_self.ts";

/** The first bytes of a binary. */
const ELF_MAGIC = "\x7fELF";

/** The number of bytes that the kernel reads of a script's first line (execve(2)). */
const LONGEST_LINE = 256;

/**
 * Returns the path from which the running program, Deno or a compiled one, can be started again. A version
 * manager may have replaced its file: then its name leads to another version, and the kernel still has the
 * old file.
 *
 * @param first The preferred one: the running file, or the file that its name leads to now.
 * @param start The name by which it was started, and the working directory at that time.
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

/**
 * The file from which this process runs: the main module, or the compiled program; undefined for a module
 * of the network.
 */
export function mainFile(): string | undefined {
  return Deno.build.standalone ? execPath() : pathOfUrl(Deno.mainModule);
}

/** The path of a `file:` URL, with any bytes; undefined for any other text. */
export function pathOfUrl(text: string): string | undefined {
  const { protocol, pathname = "" } = URL.parse(text) ?? {};
  if (protocol !== "file:") return undefined;
  const plain = pathname.replace(
    /%([0-9A-F]{2})/gi,
    (_, hex) => String.fromCharCode(parseInt(hex, 16)),
  );
  return decodeBytes(Uint8Array.from(plain, (byte) => byte.charCodeAt(0)));
}

/** The directories of `PATH`. */
export function searchPath(): string[] {
  return (Deno.env.get("PATH") ?? "/usr/local/bin:/usr/bin:/bin").split(":");
}

/** Resolves every link in a path; returns the path unchanged where it does not exist. */
export function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    // The user of the path reports the error.
    return path;
  }
}

/**
 * Resolves every link in a path as a process with another root does: see {@linkcode resolveLinks}.
 *
 * @param root The absolute path of the root.
 * @param path The absolute path as that process sees it.
 * @returns The path as this process sees it.
 */
export function pathInRoot(root: string, path: string): string {
  return resolveLinks(path, root).end;
}

/** Whether a path leads to a file. */
export function isFile(path: string): boolean {
  return stat(path)?.isFile === true;
}

/** Whether a path leads to a directory. */
export function isDirectory(path: string): boolean {
  return stat(path)?.isDirectory === true;
}

/** Whether a path is a dangling link. */
export function isDeadLink(path: string): boolean {
  try {
    return stat(path) === undefined && Deno.lstatSync(path).isSymlink;
  } catch {
    // Not even the link exists.
    return false;
  }
}

/** Whether a path leads through a directory that this process may not enter, so that nothing is known of its end. */
export function isOutOfReach(path: string): boolean {
  try {
    statPath(path);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied;
  }
}

/** Whether a path leads to a file with any execute bit; only an attempt shows whether this user may. */
export function isExecutable(path: string): boolean {
  const found = stat(path);
  return found?.isFile === true && ((found.mode ?? 0) & 0o111) !== 0;
}

/** Device, inode, size and change time of a file, which identify its version; undefined without a file. */
export function fileStamp(path: string): string | undefined {
  const found = stat(path);
  if (found?.isFile !== true) return undefined;
  return [found.dev, found.ino, found.size, found.mtime?.getTime()].join(":");
}

/** The permission bits of a file; undefined where none is found. */
export function fileMode(path: string): number | undefined {
  const mode = stat(path)?.mode;
  return mode == null ? undefined : mode & 0o7777;
}

/**
 * Tests for a file or directory that is world-writable, in a process of root: a user who can change the
 * files of root's programs can become root.
 *
 * @param path The path; links are followed.
 * @returns The bits of its mode; undefined if it is not world-writable or does not exist, and in processes
 * of other users.
 */
export function looseMode(path: string): number | undefined {
  if (Deno.uid() !== 0) return undefined;
  const mode = (stat(path)?.mode ?? 0) & 0o7777;
  return (mode & 0o002) === 0 ? undefined : mode;
}

/** What execvp(3) gives a script to that has no interpreter line. */
const WITHOUT_LINE = "#!/bin/sh";

/**
 * The first line of a script, from `#!` on; `#!/bin/sh` for a text without it; empty for any other or
 * unreadable file.
 */
export function interpreterLine(path: string): string {
  const text = beginning(path) ?? "", [line] = text.split("\n", 1);
  if (line.startsWith("#!")) return line;
  return text === "" || text.startsWith(ELF_MAGIC) || text.includes("\0") ? "" : WITHOUT_LINE;
}

/**
 * Whether the kernel can start a file by itself. It can't start a script without an interpreter line, which
 * execvp(3) gives to a shell, or with a missing interpreter.
 *
 * @returns True for an unreadable file, of which nothing is known.
 */
export function isStartedByKernel(path: string): boolean {
  const text = beginning(path);
  if (text === undefined || text.startsWith(ELF_MAGIC)) return true;
  const interpreter = /^#![ \t]*([^ \t\n]+)/.exec(text)?.[1];
  return interpreter !== undefined && isExecutable(interpreter);
}

/** The most bytes that are read of a file of a program. */
const MOST_TEXT_BYTES = 16 << 20;

/** A file of a program, as text; undefined where it can't be read. Its owner may put anything in its place. */
export function programText(path: string): string | undefined {
  try {
    const bytes = readRegularFile(path, { most: MOST_TEXT_BYTES, trustsNoLinks: true });
    return new TextDecoder().decode(bytes);
  } catch {
    // A caller that needs it says so.
    return undefined;
  }
}

/** The first bytes of a file, as text; undefined if it can't be read. */
function beginning(path: string): string | undefined {
  try {
    return readBeginning(path, LONGEST_LINE);
  } catch {
    // A program may be executable but not readable; then it is no script.
    return undefined;
  }
}

function stat(path: string): Deno.FileInfo | undefined {
  try {
    return statPath(path);
  } catch {
    // Missing, out of reach or unreadable: no program in any case.
    return undefined;
  }
}

/**
 * Stand-in for `@std/fs/walk`.
 * @module
 */

/** Which entries a walk yields. */
export interface WalkOptions {
  /** How far below the root it goes, by default without an end; 0 is the root alone. */
  maxDepth?: number;
  /** Whether it yields files, by default true. */
  includeFiles?: boolean;
  /** Whether it yields directories, by default true. */
  includeDirs?: boolean;
  /** Whether it yields the links that it does not follow, by default true. */
  includeSymlinks?: boolean;
  /** Whether it follows links, by default false. */
  followSymlinks?: boolean;
  /** Whether a followed link is named by its real path, by default true. */
  canonicalize?: boolean;
  /** Only paths that end in one of these extensions; the dot may be left out. */
  exts?: string[];
  /** Only paths that match one of these. */
  match?: RegExp[];
  /** No path that matches one of these, and nothing below it. */
  skip?: RegExp[];
}

/** One entry of a walk. */
export interface WalkEntry extends Deno.DirEntry {
  /** The root and the way from there, normalized. */
  path: string;
}

/** A path without empty parts, "." and "..", as POSIX paths go. */
function normalize(path: string): string {
  const root = path.startsWith("/") ? "/" : "";
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== ".." || (root === "" && (parts.at(-1) ?? "..") === "..")) parts.push(part);
    else parts.pop();
  }
  const tail = parts.length > 0 && path.endsWith("/") ? "/" : "";
  return root + parts.join("/") + tail || ".";
}

/**
 * Yields a directory and all below it, in the order of the file system, each directory before what
 * it holds.
 *
 * Needs `--allow-read`.
 *
 * @param root Where it begins.
 * @param options Which entries it yields.
 * @returns The entries, read as they are asked for.
 * @throws {Deno.errors.NotFound} If the root is not there.
 */
export function* walkSync(
  root: string | URL,
  options: WalkOptions = {},
): IterableIterator<WalkEntry> {
  const { maxDepth = Infinity, includeFiles = true, includeDirs = true } = options;
  const { includeSymlinks = true, followSymlinks = false, canonicalize = true } = options;
  const exts = options.exts?.map((ext) => ext.startsWith(".") ? ext : `.${ext}`);
  const { match, skip } = options;
  const skipped = (path: string) => skip?.some((pattern) => path.search(pattern) >= 0) ?? false;
  const wanted = (path: string) =>
    (exts?.some((ext) => path.endsWith(ext)) ?? true) &&
    (match?.some((pattern) => path.search(pattern) >= 0) ?? true) && !skipped(path);

  if (maxDepth < 0) return;
  const top = root instanceof URL ? decodeURIComponent(root.pathname) : root;
  if (includeDirs && wanted(top)) {
    const { isFile, isDirectory, isSymlink } = Deno.statSync(top);
    const path = normalize(top);
    yield {
      path,
      name: path.split("/").findLast((part) => part !== "") ?? "/",
      isFile,
      isDirectory,
      isSymlink,
    };
  }
  if (maxDepth < 1 || skipped(top)) return;

  for (const entry of Deno.readDirSync(top)) {
    let path = normalize(`${top}/${entry.name}`);
    let { isDirectory } = entry;
    if (entry.isSymlink) {
      if (!followSymlinks) {
        if (includeSymlinks && wanted(path)) yield { path, ...entry };
        continue;
      }
      const realPath = Deno.realPathSync(path);
      if (canonicalize) path = realPath;
      ({ isDirectory } = Deno.lstatSync(realPath));
    }
    if (isDirectory) yield* walkSync(path, { ...options, maxDepth: maxDepth - 1 });
    else if (includeFiles && wanted(path)) yield { path, ...entry };
  }
}

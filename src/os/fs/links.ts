/**
 * The links in a path, resolved as the kernel does (path_resolution(7)).
 *
 * @module
 */

/** The kernel's limit of links in one path. */
export const LINKS_MAX = 40;

/** Where a path leads to. */
export interface ResolvedPath {
  readonly end: string;
  /** All directories and links on the way, the end included. */
  readonly passed: readonly string[];
}

/**
 * Resolves every link in a path. What does not exist, or is behind too many links, stays as it is.
 *
 * @param path The absolute path.
 * @param root The absolute path of the root of the process that uses the path, which is not resolved itself:
 * absolute links begin there, and `..` does not lead out of it. Empty for the root of this process.
 */
export function resolveLinks(path: string, root = ""): ResolvedPath {
  const left = path.split("/"), passed = [root || "/"];
  let here = root, links = 0;
  while (left.length > 0) {
    const name = left.shift()!;
    if (name === "" || name === ".") continue;
    const above = here === root ? root : here.slice(0, here.lastIndexOf("/"));
    const next = name === ".." ? above : `${here}/${name}`;
    passed.push(next || "/");
    const target = name === ".." || links === LINKS_MAX ? undefined : targetOf(next);
    if (target === undefined) {
      here = next;
      continue;
    }
    links++;
    left.unshift(...target.split("/"));
    if (target.startsWith("/")) here = root;
  }
  return { passed, end: here || "/" };
}

/** The target of a link; undefined for anything else. */
function targetOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    // It is no link, or does not exist, or no process can follow it.
    return undefined;
  }
}

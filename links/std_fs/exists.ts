/**
 * Stand-in for `@std/fs/exists`.
 * @module
 */

/** What else must hold of a path. */
export interface ExistsOptions {
  /** It must be readable for this process's user or group. */
  isReadable?: boolean;
  /** It must be a directory, or a link to one. */
  isDirectory?: boolean;
  /** It must be a file, or a link to one. */
  isFile?: boolean;
}

function matches(stat: Deno.FileInfo, options: ExistsOptions): boolean {
  if (options.isDirectory && options.isFile) {
    throw new TypeError("Cannot test for a file and a directory at once, expected one of the two");
  }
  if (options.isDirectory && !stat.isDirectory) return false;
  if (options.isFile && !stat.isFile) return false;
  if (!options.isReadable || stat.mode === null) return true;
  if (stat.uid === Deno.uid()) return (stat.mode & 0o400) !== 0;
  if (stat.gid === Deno.gid()) return (stat.mode & 0o040) !== 0;
  return (stat.mode & 0o004) !== 0;
}

/** What a failed stat says of the path: not there, or there but not readable. */
function answerOf(error: unknown, stat: () => Deno.PermissionState, options: ExistsOptions) {
  if (error instanceof Deno.errors.NotFound) return false;
  // The runtime's own permission was given, so the system refused: the path may well be there.
  if (error instanceof Deno.errors.PermissionDenied && stat() === "granted") {
    return !options.isReadable;
  }
  throw error;
}

/**
 * Tells whether a path is there. Not for a test before an operation: do that one and catch its
 * error.
 *
 * Needs `--allow-read`, and `--allow-sys` for `isReadable`.
 *
 * @param path The path.
 * @param options What else must hold.
 * @returns True if it is there, and all else holds.
 * @throws {TypeError} If it should be a file and a directory at once.
 */
export async function exists(path: string | URL, options: ExistsOptions = {}): Promise<boolean> {
  let stat: Deno.FileInfo;
  try {
    stat = await Deno.stat(path);
  } catch (error) {
    const { state } = await Deno.permissions.query({ name: "read", path });
    return answerOf(error, () => state, options);
  }
  return matches(stat, options);
}

/**
 * Tells whether a path is there, like {@linkcode exists}, but at once.
 *
 * Needs `--allow-read`, and `--allow-sys` for `isReadable`.
 *
 * @param path The path.
 * @param options What else must hold.
 * @returns True if it is there, and all else holds.
 * @throws {TypeError} If it should be a file and a directory at once.
 */
export function existsSync(path: string | URL, options: ExistsOptions = {}): boolean {
  let stat: Deno.FileInfo;
  try {
    stat = Deno.statSync(path);
  } catch (error) {
    const state = () => Deno.permissions.querySync({ name: "read", path }).state;
    return answerOf(error, state, options);
  }
  return matches(stat, options);
}

/**
 * Stand-in for `@std/fs/ensure-dir`.
 * @module
 */

function mustBeDirectory(dir: string | URL): void {
  if (!Deno.statSync(dir).isDirectory) {
    throw new Error(`Cannot ensure the directory "${dir}": found something else there`);
  }
}

/**
 * Makes a directory, and those above it, unless it is there.
 *
 * Needs `--allow-read` and `--allow-write`.
 *
 * @param dir The directory.
 * @throws {Error} If something else has that name.
 */
export function ensureDirSync(dir: string | URL): void {
  try {
    return mustBeDirectory(dir);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  try {
    Deno.mkdirSync(dir, { recursive: true });
  } catch (error) {
    // Somebody else may have made it since the look above.
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    mustBeDirectory(dir);
  }
}

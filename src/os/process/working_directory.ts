/**
 * The working directory of this process, tracked by its name. The kernel tracks the directory itself: after
 * a removal and re-creation, or a change of a link in its path, a process stays in a directory that no name
 * leads to.
 *
 * @module
 */
import { isSameFile } from "../ffi/file_status.ts";

/**
 * The name of the working directory: `$PWD` with its links, if it leads to the directory, as in a shell.
 *
 * @throws {TypeError} When the directory has been removed.
 */
export function namedDirectory(): string {
  const name = Deno.env.get("PWD");
  if (name?.startsWith("/") && isHere(name)) return name;
  const path = pathOfHere();
  if (path !== undefined) return path;
  throw new TypeError(
    `Cannot start in "${name ?? "."}": the directory was removed, expected one that exists`,
  );
}

/** The working directory of a long-running process. */
export class WorkingDirectory {
  readonly #tell: (text: string, level: "info" | "warn") => void;
  /** Whether the directory was removed, and this process is in another one meanwhile. */
  #isLost = false;

  /**
   * @param path Its name, an absolute path.
   * @param tell Called with a message and its level when the name leads to another directory.
   */
  constructor(readonly path: string, tell: (text: string, level: "info" | "warn") => void) {
    this.#tell = tell;
  }

  /** Changes to the directory that the name leads to now. */
  follow(): void {
    if (isHere(this.path)) return;
    try {
      Deno.chdir(this.path);
      this.#isLost = false;
      this.#tell(`the working directory "${this.path}" leads to "${pathOfHere()}" now`, "info");
    } catch (error) {
      if (this.#isLost) return;
      const found = error instanceof Deno.errors.NotFound
        ? "no such directory"
        : (error as Error).message;
      this.#tell(
        `Cannot enter "${this.path}": ${found}, ` +
          "expected the working directory, from which relative paths start",
        "warn",
      );
      if (pathOfHere() !== undefined) return;
      // A Deno program can't start in a directory that was removed.
      Deno.chdir("/");
      this.#isLost = true;
    }
  }

  /** Changes to another directory only if this one was removed. Must be called before a process starts. */
  ensure(): void {
    if (this.#isLost || pathOfHere() === undefined) this.follow();
  }
}

/** Whether a name leads to the working directory. */
function isHere(name: string): boolean {
  try {
    return isSameFile(Deno.statSync("."), Deno.statSync(name));
  } catch {
    // Missing, or out of reach.
    return false;
  }
}

/** The path of the working directory; undefined if it was removed. */
function pathOfHere(): string | undefined {
  try {
    return Deno.cwd();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

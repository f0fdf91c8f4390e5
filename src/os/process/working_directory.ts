/**
 * The working directory of this process by its name. The kernel only knows which directory it is: when
 * that is removed and made again, or was reached by a link that leads to another one by now, a process
 * stays in a directory that nobody else can reach.
 *
 * @module
 */

/**
 * The name of the working directory: `$PWD`, with its links, where that leads to it, as a shell has it.
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

/** The working directory of a process that runs for a long time. */
export class WorkingDirectory {
  readonly #tell: (text: string) => void;
  /** Whether the directory was removed, and this process is in another one for as long. */
  #isLost = false;

  /**
   * Changes nothing yet.
   *
   * @param path Its name, an absolute path.
   * @param tell Told where it leads from now on, when that changes.
   */
  constructor(readonly path: string, tell: (text: string) => void) {
    this.#tell = tell;
  }

  /** Goes to where the name leads by now. */
  follow(): void {
    if (isHere(this.path)) return;
    try {
      Deno.chdir(this.path);
      this.#isLost = false;
      this.#tell(`the working directory "${this.path}" leads to "${pathOfHere()}" now`);
    } catch (error) {
      if (this.#isLost) return;
      const found = error instanceof Deno.errors.NotFound
        ? "no such directory"
        : (error as Error).message;
      this.#tell(
        `warning: Cannot enter "${this.path}": ${found}, ` +
          "expected the working directory, from which relative paths start",
      );
      if (pathOfHere() !== undefined) return;
      // A program of Deno can't start in a directory that was removed.
      Deno.chdir("/");
      this.#isLost = true;
    }
  }

  /** Goes to another directory only if this one was removed. To be called before a process starts. */
  ensure(): void {
    if (this.#isLost || pathOfHere() === undefined) this.follow();
  }
}

/** Whether a name leads to the working directory. */
function isHere(name: string): boolean {
  try {
    const here = Deno.statSync("."), there = Deno.statSync(name);
    return here.dev === there.dev && here.ino === there.ino;
  } catch {
    // Not there, or out of reach.
    return false;
  }
}

/** The path of the working directory, unless it was removed. */
function pathOfHere(): string | undefined {
  try {
    return Deno.cwd();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

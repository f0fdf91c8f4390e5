/**
 * The Python interpreter for tests.
 *
 * @module
 */

let found: string | undefined;

/**
 * The interpreter itself: what leads to it may be a script, which opens files of its own and takes longer than
 * the program that it starts.
 */
export function python(): string {
  if (found === undefined) {
    const args = ["-c", "import sys; print(sys.executable)"];
    const { stdout } = new Deno.Command("python3", { args }).outputSync();
    found = new TextDecoder().decode(stdout).trim();
  }
  return found;
}

/** The beginning of a command of Python that needs its standard library alone, which starts in half the time. */
export function plainPython(): [string, string] {
  return [python(), "-IS"];
}

/**
 * The files of a script's modules, as the runtime itself finds them.
 *
 * @module
 */

/** A script, and how it is run. */
export interface ScriptRun {
  /** The Deno that runs it. */
  readonly deno: string;
  /** The flags that decide where its imports lead. */
  readonly flags: readonly string[];
  readonly script: string;
  /** The working directory. */
  readonly cwd: string;
}

/** How long the runtime may take. */
const LONGEST_MS = 30_000;

/**
 * Lists the local modules of a script: itself, all that it imports by a name that stands in the source,
 * and so on; files that are missing or can't be read as a module included. Nothing is run, and nothing
 * is asked of a registry.
 *
 * @param run The script.
 * @returns Their paths.
 * @throws {Error} When the runtime can't tell.
 */
export async function localModules(run: ScriptRun): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(run.deno, {
    args: ["info", "--json", "--no-remote", "--no-npm", ...run.flags, run.script],
    cwd: run.cwd,
    env: { DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(LONGEST_MS),
  }).output();
  if (!success) {
    const [line = "it has ended"] = new TextDecoder().decode(stderr).trim().split("\n").slice(-1);
    throw new Error(line);
  }
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    readonly modules: readonly { readonly specifier: string }[];
  };
  const files = modules.map(({ specifier }) => new URL(specifier))
    .filter(({ protocol }) => protocol === "file:");
  return files.map(({ pathname }) => decodeURIComponent(pathname));
}

/**
 * When a file has changed last, be it its content or its name, in milliseconds since 1970.
 *
 * @param path The file.
 * @returns The time; undefined where there is no file.
 */
export function lastChange(path: string): number | undefined {
  try {
    return Deno.statSync(path).ctime?.getTime();
  } catch {
    return undefined;
  }
}

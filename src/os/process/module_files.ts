/**
 * The module files of a script, as the runtime resolves them.
 *
 * @module
 */

/** A script, and the way it is run. */
export interface ScriptRun {
  /** The Deno executable. */
  readonly deno: string;
  /** The flags that affect the resolution of imports. */
  readonly flags: readonly string[];
  readonly script: string;
  /** The working directory. */
  readonly cwd: string;
}

/** The time limit for the runtime. */
const LONGEST_MS = 30_000;

/**
 * Lists the local modules of a script: the script, its static imports, their imports and so on, missing and
 * unreadable files included. Nothing is run or downloaded.
 *
 * @returns Their paths.
 * @throws {Error} When the runtime fails.
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

/** Returns the time of a file's last change of content or name, in milliseconds since 1970, if it exists. */
export function lastChange(path: string): number | undefined {
  try {
    return Deno.statSync(path).ctime?.getTime();
  } catch {
    return undefined;
  }
}

/**
 * The module files of a script, as the runtime resolves them.
 *
 * @module
 */
import { systemClock } from "../clock/clock.ts";
import type { Credentials } from "../user/accounts.ts";
import { withNewSessionKeyring } from "../user/session_keyring.ts";
import { environmentOf, environmentWith } from "./environment.ts";
import { NO_UPDATE_CHECK } from "./posix_spawn.ts";
import { setprivCommand } from "./setpriv.ts";

/** A script, and the way it is run. */
export interface ScriptRun {
  /** The Deno executable of this process. */
  readonly deno: string;
  /** The flags that affect the resolution of imports. */
  readonly flags: readonly string[];
  readonly script: string;
  /** The working directory. */
  readonly cwd: string;
  /** The user that loads the modules, if it is another one than this process's. */
  readonly credentials?: Credentials;
}

/** The modules could not be listed in time. */
export class ModulesTooLateError extends Error {
  override readonly name = "ModulesTooLateError";
}

/** The time limit for the runtime: a module may be a named pipe, which never ends. */
const LONGEST_MS = 10_000;

/** The most that is read of an output: some ten thousand modules. */
const MOST_BYTES = 16 << 20;

/**
 * Lists the local modules of a script: the script, its static imports, their imports and so on, missing and
 * unreadable files included. Nothing is run or downloaded.
 *
 * The sources may be any user's, and the runtime parses them: so it does that with the rights of the user that
 * loads the modules, in a session and with a keyring of its own, and ends with this process.
 *
 * @returns Their paths.
 * @throws {ModulesTooLateError} After the time limit.
 * @throws {Error} When the runtime fails.
 */
export async function localModules(run: ScriptRun): Promise<string[]> {
  const { credentials } = run;
  const setpriv = setprivCommand(credentials, { endsWithParent: true });
  if (setpriv === undefined) throw new Error("setpriv(1) of util-linux is missing or too old");
  const [program, ...rest] = [...setpriv, run.deno];
  const command = new Deno.Command(program, {
    args: [...rest, "info", "--json", "--no-remote", "--no-npm", ...run.flags, run.script],
    cwd: run.cwd,
    clearEnv: true,
    env: environmentWith({
      ...(credentials && environmentOf(credentials)),
      ...NO_UPDATE_CHECK,
      NO_COLOR: "1",
    }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  });
  const child = withNewSessionKeyring(() => command.spawn());
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has just ended.
    }
  };
  const stdout = child.stdout.getReader(), stderr = child.stderr.getReader();
  const late = Promise.withResolvers<never>();
  const timer = systemClock.setTimer(LONGEST_MS, () => late.reject(new ModulesTooLateError()));
  try {
    const [json, errors, { success }] = await Promise.race([
      late.promise,
      Promise.all([readText(stdout), readText(stderr), child.status]),
    ]);
    if (!success) throw new Error(errors.trim().split("\n").at(-1) || "deno info has failed");
    return pathsIn(json);
  } finally {
    timer.cancel();
    kill();
    // Another process may have the other ends by now.
    for (const reader of [stdout, stderr]) reader.cancel().catch(() => {});
  }
}

/** Reads an output to its end. */
async function readText(
  output: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (let read; !(read = await output.read()).done;) {
    text += decoder.decode(read.value, { stream: true });
    if (text.length > MOST_BYTES) throw new Error("deno info lists too many modules");
  }
  return text;
}

function pathsIn(json: string): string[] {
  const { modules } = JSON.parse(json) as {
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

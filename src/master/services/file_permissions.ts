/**
 * Checks that no file that a root master uses is world-writable: anyone who can change its settings
 * or programs could become root.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import type { ParsedArguments } from "../../config/args.ts";
import { type Config, settingOrigin } from "../../config/config.ts";
import { cannot, type Problem } from "../../config/errors.ts";
import { isFile, mainFile } from "../../os/process/program_lookup.ts";
import type { Located } from "./command.ts";
import { pathsIn } from "./command_files.ts";
import type { ProgramLookup } from "./program_lookup.ts";

/** Asks whether a path is world-writable. */
type Looks = Pick<ProgramLookup, "looseMode">;

/**
 * Checks a settings file, or the directory of the settings files.
 *
 * @param path The path.
 * @param lookup Tells its mode.
 * @returns The problems; none where the master does not run as root.
 */
export function worldWritableProblems(path: string, lookup: Looks): Problem[] {
  const message = worldWritable("read settings from", path, lookup);
  return message === undefined ? [] : [{ file: path, message }];
}

/** Checks the main module of a master, with its hooks, or its compiled program. */
export function worldWritableProgram(path: string | undefined, lookup: Looks): Problem[] {
  const message = path && worldWritable("run", path, lookup);
  return message ? [{ file: path, message }] : [];
}

/**
 * Checks the files from which a new master is to run: its program, its main module and those of the
 * runtime's options, before any of them runs.
 *
 * @param command The program and the runtime's arguments.
 * @param options Where it is started, and the modes of files.
 * @throws {TypeError} When one of them is world-writable, and this master runs as root.
 */
export function requireTrustedMaster(
  [program, ...args]: readonly string[],
  { cwd, lookup }: { readonly cwd: string; readonly lookup: Looks },
): void {
  const named = args.flatMap(pathsIn).map((path) => resolvePath(cwd, path));
  for (const path of [program, mainFile() ?? "", ...named].filter(isFile)) {
    const message = worldWritable("run", path, lookup);
    if (message !== undefined) throw new TypeError(message);
  }
}

/**
 * Checks the settings files that a `loadConfig` hook has read, as far as its settings name them.
 *
 * @param configs The settings of the hook's services.
 * @param lookup Tells the mode of a file.
 */
export function worldWritableSources(configs: readonly Config[], lookup: Looks): Problem[] {
  const files = configs.flatMap((config) =>
    [...config.keys()].flatMap((key) => {
      const origin = settingOrigin(config, key);
      return typeof origin === "object" ? origin.file : [];
    })
  );
  return [...new Set(files)].flatMap((file) => worldWritableProblems(file, lookup));
}

/** Checks the files of a master's command line (`-config`). */
export function worldWritableFiles({ configFiles }: ParsedArguments, lookup: Looks): Problem[] {
  return configFiles.flatMap((file) => worldWritableProblems(file, lookup));
}

/**
 * Checks the files of a service's command, and the directories in which its task was looked for: every user could add
 * one there.
 *
 * @param located The service.
 * @param files The result of `commandFiles`.
 * @throws {TypeError} When one of them is world-writable, and the master runs as root.
 */
export function requireTrustedCommand(
  { view, searched }: Pick<Located, "view" | "searched">,
  files: readonly string[],
): void {
  for (const path of searched) {
    const message = worldWritable("look for a task in", path, view);
    if (message !== undefined) throw new TypeError(message);
  }
  for (const path of files) {
    const message = worldWritable("run", path, view);
    if (message !== undefined) throw new TypeError(message);
  }
}

function worldWritable(action: string, path: string, { looseMode }: Looks): string | undefined {
  const mode = looseMode(path);
  if (mode === undefined) return undefined;
  return cannot(action, path, {
    found: `every user may write to it (mode ${mode.toString(8).padStart(4, "0")})`,
    expected: "a mode without write permission for others, since the master runs as root",
  });
}

/**
 * The settings of a process that reads the files itself: the master, and a server without a master of this kind.
 *
 * @module
 */
import type { ConfigReader, ParsedArguments } from "./args.ts";
import type { Config } from "./config.ts";
import { readGlobalSettings } from "./directory.ts";
import { commandLineSettings, readStrictly, replaceSettings, sharedFor } from "./effective.ts";
import { asWarning, ConfigError, type Problem } from "./errors.ts";
import type { Setting } from "./setting.ts";

/**
 * Loads the settings of a process: the shared ones first, then those of its command line, which also names the
 * directory of the shared ones, directly or in a file.
 *
 * @param config The settings to replace.
 * @param args The command line.
 * @param directory The record of the directory's setting; its scope is the program that reads it.
 * @param read Reads a file of `-config`, in a master.
 * @returns The unreadable shared files that a server has skipped, as LIB-ZC's servers do: under a C master there
 * would be no server otherwise.
 * @throws {ConfigError} When a file of the command line can't be read, or any file in the master.
 */
export function loadSettings(
  config: Config,
  args: ParsedArguments,
  directory: Setting<string | undefined>,
  read?: ConfigReader,
): readonly Problem[] {
  const own = commandLineSettings(args, read);
  replaceSettings(config, own);
  const path = readStrictly(config, directory);
  if (path === undefined) return [];
  const problems: Problem[] = [], [scope] = directory.scopes;
  const shared = readGlobalSettings(path, { problems });
  if (scope === "master" && problems.length > 0) throw new ConfigError(problems);
  replaceSettings(config, sharedFor(shared, scope).merge(own));
  return problems.map(asWarning);
}

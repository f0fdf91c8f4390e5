/**
 * The settings of a process that reads them itself: the master, and a server without one of this kind.
 *
 * @module
 */
import type { ParsedArguments } from "./args.ts";
import type { Config } from "./config.ts";
import { loadGlobalSettings } from "./directory.ts";
import { commandLineSettings, readStrictly, replaceSettings } from "./effective.ts";
import type { Setting } from "./setting.ts";

/**
 * Gives a process its settings in place: the shared ones first, then those of its command line,
 * which also names the directory of the shared ones, itself or in a file.
 *
 * @param config The settings to replace.
 * @param args The command line.
 * @param directory The record of the directory's setting.
 * @throws {ConfigError} When something can't be read.
 */
export function loadSettings(
  config: Config,
  args: ParsedArguments,
  directory: Setting<string | undefined>,
): void {
  const own = commandLineSettings(args);
  replaceSettings(config, own);
  const path = readStrictly(config, directory);
  if (path !== undefined) replaceSettings(config, loadGlobalSettings(path).merge(own));
}

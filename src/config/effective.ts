/**
 * The settings of a process, put together from its files and its command line.
 *
 * @module
 */
import { stringify } from "@std/ini";
import { applyArguments, type ParsedArguments } from "./args.ts";
import { Config } from "./config.ts";
import { loadGlobalSettings } from "./directory.ts";
import { ConfigError } from "./errors.ts";
import { readSetting, type Setting } from "./setting.ts";

/**
 * Gives a process its settings in place: the shared ones first, then the files and the arguments of
 * its command line, the later winning. What was set before is forgotten.
 *
 * @param config The settings to replace, such as `defaultConfig`.
 * @param sources `shared`: what the `*.gcf` give. `args`: the command line.
 * @throws {ConfigError} When a file of `-config` can't be read; nothing is changed then.
 */
export function replaceSettings(
  config: Config,
  sources: { readonly shared: Config; readonly args: ParsedArguments },
): void {
  const next = new Config().merge(sources.shared);
  applyArguments(next, sources.args);
  for (const key of [...config.keys()]) config.delete(key);
  config.merge(next);
}

/**
 * Gives a process its settings in place, with the directory of the shared ones being a setting
 * itself, which the command line or a file of it names.
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
  replaceSettings(config, { shared: new Config(), args });
  const path = readStrictly(config, directory);
  if (path !== undefined) replaceSettings(config, { shared: loadGlobalSettings(path), args });
}

/**
 * Reads a setting of the running process.
 *
 * @param config Its settings.
 * @param setting The setting's record.
 * @returns The value.
 * @throws {ConfigError} When the text is wrong.
 */
export function readStrictly<T>(config: Config, setting: Setting<T>): T {
  const result = readSetting(config, setting);
  if (!result.ok) throw new ConfigError([result.problem]);
  return result.value;
}

/**
 * Writes settings as a settings file would have them (`--debug-config`).
 *
 * @param config The settings.
 * @returns A line `key = value` for each.
 */
export function renderSettings(config: Config): string {
  return `${stringify(Object.fromEntries(config), { pretty: true })}\n`;
}

/**
 * The settings of a process, put together from its command line and what its master has handed it.
 *
 * This file does not know how directories of settings are read: a server under a master has no use
 * for that. See {@link file://./load_settings.ts}.
 *
 * @module
 */
import { applyArguments, type ParsedArguments } from "./args.ts";
import { Config } from "./config.ts";
import { ConfigError } from "./errors.ts";
import { readSetting, type Setting, type SettingScope } from "./setting.ts";
import { ALL_SETTINGS } from "./settings.ts";

/**
 * Reads the settings of a command line: first its files, then its arguments, the later winning.
 *
 * @param args The command line.
 * @returns The settings, without the shared ones.
 * @throws {ConfigError} When a file of `-config` can't be read.
 */
export function commandLineSettings(args: ParsedArguments): Config {
  const config = new Config();
  applyArguments(config, args);
  return config;
}

/**
 * Gives a process other settings in place. What was set before is forgotten.
 *
 * @param config The settings to replace, such as `defaultConfig`.
 * @param next The settings to put there.
 */
export function replaceSettings(config: Config, next: Config): void {
  for (const key of [...config.keys()]) config.delete(key);
  config.merge(next);
}

/**
 * Takes those of the shared settings away that a program does not take from there.
 *
 * @param shared The settings of the `*.gcf`; it is changed.
 * @param scope Which program reads them.
 * @returns The same object.
 */
export function sharedFor(shared: Config, scope: SettingScope): Config {
  for (const { name, notInGcf } of ALL_SETTINGS) if (notInGcf?.includes(scope)) shared.delete(name);
  return shared;
}

/** Settings in the form in which a master hands them to a server. */
export interface GrantedSettings {
  /** Those of the `*.gcf`. */
  readonly shared: readonly (readonly [key: string, value: string])[];
  /** Those of the service itself; missing where they are all in the arguments. */
  readonly own?: readonly (readonly [key: string, value: string])[];
  /**
   * Whether those of the service are from a hook rather than from a file, so that they win over the
   * arguments of its command, and no argument names a file.
   *
   * @default {false}
   */
  readonly isOfHook?: boolean;
}

/**
 * The settings of a server whose master has handed it the contents of the files: those that the
 * master has accepted, whatever is in the files by now.
 *
 * @param args The command line. Its last `-config` is the service's own file, if it has one, which is
 * not read.
 * @param granted What the master has handed over.
 * @returns The settings: the shared ones, those of the service's file, and the command line, each
 * winning over the one before. Those of a hook win over all of them, as the arguments that they are
 * for a program of LIB-ZC.
 * @throws {ConfigError} When another file of `-config` can't be read.
 */
export function settingsFromMaster(args: ParsedArguments, granted: GrantedSettings): Config {
  const { shared, own = [], isOfHook = granted.own === undefined } = granted;
  const config = new Config();
  // The lines don't travel: the master has told what is wrong in them.
  for (const [key, value] of shared) config.set(key, value, { file: "*.gcf" });
  sharedFor(config, "server");
  const configFiles = isOfHook ? args.configFiles : args.configFiles.slice(0, -1);
  applyArguments(config, { ...args, configFiles, settings: [] });
  const file = isOfHook ? "loadConfig" : args.configFiles.at(-1);
  const setOwn = () => {
    for (const [key, value] of own) {
      config.set(key, value, file === undefined ? undefined : { file });
    }
  };
  if (!isOfHook) setOwn();
  applyArguments(config, { ...args, configFiles: [] });
  if (isOfHook) setOwn();
  return config;
}

/**
 * Whether any of some settings is there, be it right or wrong.
 *
 * @param config The settings of a process.
 * @param settings The records of those that are asked for.
 */
export function isAnySet(config: Config, settings: readonly Setting<unknown>[]): boolean {
  return settings.some(({ name }) => config.getStr(name) !== "");
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

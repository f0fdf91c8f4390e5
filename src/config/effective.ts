/**
 * The settings of a process, combined from its command line and its master's message.
 *
 * Directories of settings are read elsewhere, in {@link file://./load_settings.ts}: a server under a master does
 * not need that.
 *
 * @module
 */
import { applyArguments, type ConfigReader, type ParsedArguments } from "./args.ts";
import { Config, setFrom, settingOrigin } from "./config.ts";
import { ConfigError } from "./errors.ts";
import { readSetting, type Setting, type SettingScope } from "./setting.ts";
import { ALL_SETTINGS } from "./settings.ts";

/**
 * Reads the settings of a command line: first its files, then its arguments, the later winning.
 *
 * @param args The command line.
 * @param read Reads a file of `-config`, in a master.
 * @returns The settings, without the shared ones.
 * @throws {ConfigError} When a file of `-config` can't be read.
 */
export function commandLineSettings(args: ParsedArguments, read?: ConfigReader): Config {
  const config = new Config();
  applyArguments(config, args, read);
  return config;
}

/** Replaces the content of `config`, such as `defaultConfig`, by other settings. */
export function replaceSettings(config: Config, next: Config): void {
  for (const key of [...config.keys()]) config.delete(key);
  config.merge(next);
}

/**
 * Removes the shared settings that a program does not take from a `.gcf`.
 *
 * @param shared The settings of the `*.gcf`; it is changed.
 * @param scope The program that reads them.
 * @returns The same object.
 */
export function sharedFor(shared: Config, scope: SettingScope): Config {
  for (const { name, notInGcf } of ALL_SETTINGS) if (notInGcf?.includes(scope)) shared.delete(name);
  return shared;
}

/** Settings in the form in which a master sends them to a server. */
export interface GrantedSettings {
  /** The settings of the `*.gcf`. */
  readonly shared: readonly (readonly [key: string, value: string])[];
  /** The settings of the service itself; missing if the arguments hold all of them. */
  readonly own?: readonly (readonly [key: string, value: string])[];
  /**
   * Whether the service's settings are from a hook rather than from a file: then they win over the arguments of its
   * command, and no argument names a file.
   *
   * @default {false}
   */
  readonly isOfHook?: boolean;
  /**
   * Where the settings were written that no program of this framework reads: the server's own ones.
   *
   * @default None.
   */
  readonly places?: readonly (readonly [key: string, file: string, line: number])[];
}

/**
 * Combines the settings of a server under a master: the master's accepted ones, even if the files have changed.
 *
 * @param args The command line. Its last `-config` is the service's own file, if any, which is not read.
 * @param granted The settings from the master.
 * @returns The settings: the shared ones, those of the service's file, and the command line, each winning over
 * the one before. Those of a hook win over all, like the arguments that a program of LIB-ZC gets.
 * @throws {ConfigError} When another file of `-config` can't be read.
 */
export function settingsFromMaster(args: ParsedArguments, granted: GrantedSettings): Config {
  const { shared, own = [], isOfHook = granted.own === undefined, places = [] } = granted;
  const config = new Config();
  // The master has reported the problems of settings that it knows, so their lines are not sent.
  for (const [key, value] of shared) setFrom(config, key, value, { file: "*.gcf" });
  sharedFor(config, "server");
  const configFiles = isOfHook ? args.configFiles : args.configFiles.slice(0, -1);
  applyArguments(config, { ...args, configFiles, settings: [] });
  const file = isOfHook ? "loadConfig" : args.configFiles.at(-1);
  const setOwn = () => {
    for (const [key, value] of own) {
      setFrom(config, key, value, file === undefined ? undefined : { file });
    }
  };
  if (!isOfHook) setOwn();
  applyArguments(config, { ...args, configFiles: [] });
  if (isOfHook) setOwn();
  for (const [key, file, line] of places) {
    const value = config.getRaw(key);
    if (value !== undefined && settingOrigin(config, key) !== "argument") {
      setFrom(config, key, value, { file, line });
    }
  }
  return config;
}

/** Whether any of `settings` is set, valid or not. */
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

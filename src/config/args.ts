/**
 * The parser of LIB-ZC's command line: `cmd -name value arg1 --flag arg2`.
 *
 * It knows no setting by name (except `-config`) and never ends the process.
 *
 * @module
 */

import { type CfEntry, readCfFile } from "./cf.ts";
import { type Config, loadEntries, setFrom } from "./config.ts";
import { cannot, ConfigError, gather, type Problem } from "./errors.ts";

/** One setting of the command line. */
export interface ArgumentSetting {
  /** The name without its dashes. */
  readonly key: string;
  /** The value; `yes` for a `--flag`. */
  readonly value: string;
}

/** A parsed command line. */
export interface ParsedArguments {
  /** The settings in their order, without `-config`. */
  readonly settings: readonly ArgumentSetting[];
  /** The file of each `-config`, in their order. */
  readonly configFiles: readonly string[];
  /** The plain ("redundant") arguments in their order. */
  readonly rest: readonly string[];
}

/**
 * Takes a command line apart.
 *
 * `-name value` is a setting whose value is the next argument, whatever that looks like; `--flag` is
 * the setting `flag` with the value `yes`; all else, a lone `-` included, is a plain argument.
 *
 * @param args The arguments without the program's name, such as `Deno.args`.
 * @returns Its parts.
 * @throws {ConfigError} When the last argument is a `-name` without its value.
 *
 * @example
 * ```ts
 * import { parseArguments } from "./args.ts";
 *
 * const { settings, rest } = parseArguments(["alone", "-server-service", "0:8080", "--debug"]);
 * console.assert(rest[0] === "alone" && settings[1].value === "yes");
 * ```
 */
export function parseArguments(args: readonly string[]): ParsedArguments {
  const settings: ArgumentSetting[] = [];
  const configFiles: string[] = [];
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (!arg.startsWith("-") || arg === "-") {
      rest.push(arg);
      continue;
    }
    if (arg.startsWith("--")) {
      settings.push({ key: arg.slice(2), value: "yes" });
      continue;
    }
    if (++i === args.length) throw withoutValue(arg);
    if (arg === "-config") configFiles.push(args[i]);
    else settings.push({ key: arg.slice(1), value: args[i] });
  }
  return { settings, configFiles, rest };
}

function withoutValue(arg: string): ConfigError {
  const message = cannot("read argument", arg, {
    found: "no value after it",
    expected: `${arg} VALUE`,
  });
  return new ConfigError([{ message }]);
}

/** Reads the settings of one file of `-config`. */
export type ConfigReader = (file: string) => readonly CfEntry[];

/**
 * Applies a command line: first the files of `-config` in order, then every other setting, so that the command
 * line wins over files and a later file over an earlier one.
 *
 * Needs the permission to read the files.
 *
 * @param config Receives the settings.
 * @param parsed The result of {@linkcode parseArguments}.
 * @param read Reads a file.
 * @throws {ConfigError} When files can't be read: it names all of them, and `config` is unchanged.
 */
export function applyArguments(
  config: Config,
  parsed: ParsedArguments,
  read: ConfigReader = readPlain,
): void {
  const problems: Problem[] = [];
  const entries = parsed.configFiles.flatMap((file) => gather(problems, () => read(file)) ?? []);
  if (problems.length > 0) throw new ConfigError(problems);
  loadEntries(config, entries);
  for (const { key, value } of parsed.settings) setFrom(config, key, value, "argument");
}

/** Whether a file of `-config` is an INI file, by its name. */
export function isIniFile(path: string): boolean {
  return /\.ini$/i.test(path);
}

/** Reads a file without sections. In a server all sections of an INI file would become one. */
function readPlain(file: string): CfEntry[] {
  const entries = readCfFile(file);
  const section = isIniFile(file) ? entries.find(({ key }) => /^\[.*\]$/.test(key)) : undefined;
  if (section === undefined) return entries;
  const about = { found: "a section, which only a master reads", expected: "NAME = VALUE" };
  const { line, key } = section;
  throw new ConfigError([{ file, line, message: cannot("read", key, about) }]);
}

/**
 * One record for each setting, and the strict reading of a setting by its record.
 *
 * The records themselves are in `settings.ts`; this file knows none of them by name.
 *
 * @module
 */

import { type Config, originOfFault } from "./config.ts";
import { cannot, type Problem, problemAt, refusal } from "./errors.ts";
import type { ValueKind } from "./values.ts";

/**
 * Who reads a setting: `service`, the master in a service's `.cf`; `master`, the master on its
 * command line or in `*.gcf`; `server`, the server's own process.
 */
export type SettingScope = "service" | "master" | "server";

/** What a setting is for: the reference page has a section for each group. */
export type SettingGroup =
  | "processes"
  | "sockets"
  | "reload"
  | "supervision"
  | "logs"
  | "privileges"
  | "master"
  | "process";

/** All that is known of one setting. */
export interface Setting<T> {
  /** Its name in files; `-name` on a command line. */
  readonly name: string;
  /** What it is for. */
  readonly group: SettingGroup;
  /** Who reads it. */
  readonly scopes: readonly SettingScope[];
  /** Its kind of value. */
  readonly kind: ValueKind<T>;
  /** Its default, as one would write it. */
  readonly fallback?: string;
  /** Whether a `.gcf` may give it for every service that doesn't give it itself. */
  readonly inherited?: boolean;
  /**
   * Who of those that read it does not take it from a `.gcf`: as in LIB-ZC, whose programs have acted
   * upon it before they read these.
   *
   * @default {[]}
   */
  readonly notInGcf?: readonly SettingScope[];
  /**
   * Whether its value is secret: no message and no output shows it, and no server is sent it.
   *
   * @default {false}
   */
  readonly isSecret?: boolean;
  /** What it does, in one or two sentences. */
  readonly doc: string;
  /** Its default value: what `fallback` reads as, or `undefined` where there is no default. */
  readonly defaultValue: T;
}

/**
 * Whether a setting is a flag, which a command line gives without a value.
 *
 * @param setting The setting's record.
 */
export function isFlag({ kind }: Setting<unknown>): boolean {
  return kind.placeholder === "";
}

/**
 * How a command line gives a setting.
 *
 * @param setting The setting's record.
 * @returns Such as `-pid-file FILE` or `--try-lock`.
 */
export function argumentForm(setting: Setting<unknown>): string {
  const { name, kind } = setting;
  return isFlag(setting) ? `--${name}` : `-${name} ${kind.placeholder}`;
}

/** A setting that was read, or why it couldn't be. */
export type SettingResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

/**
 * Reads a setting strictly. One that is missing or empty reads as its default, as in LIB-ZC.
 *
 * @param config The settings.
 * @param setting The setting's record.
 * @returns The value, or a problem that names file and line.
 *
 * @example
 * ```ts
 * import { Config, setFrom } from "./config.ts";
 * import { readSetting, SERVER_PROC_COUNT } from "./settings.ts";
 *
 * const config = setFrom(new Config(), "server-proc-count", "many", { file: "a.cf", line: 3 });
 * const result = readSetting(config, SERVER_PROC_COUNT);
 * console.assert(!result.ok && result.problem.line === 3);
 * ```
 */
export function readSetting<T>(config: Config, setting: Setting<T>): SettingResult<T> {
  const key = setting.name;
  const text = config.getRaw(key) ?? "";
  if (text === "") return { ok: true, value: setting.defaultValue };
  const shown = setting.isSecret ? key : text;
  const parse = (text: string) => {
    refuseBrokenText(text, shown);
    return setting.kind.parse(text);
  };
  try {
    return { ok: true, value: parse(text) };
  } catch (error) {
    const message = endsInComment(text) ? cannot("read", shown, COMMENT) : refusal(error);
    const origin = originOfFault(config, key, (line) => isAccepted(() => parse(line)));
    return { ok: false, problem: problemAt(origin, { key, message }) };
  }
}

function isAccepted(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    // Its reason is told for the whole text.
    return false;
  }
}

/** What is said of a comment behind a value. */
export const COMMENT = {
  found: "a comment behind the value, where none can be",
  expected: "the comment on a line of its own",
};

/**
 * Whether a value goes on as a comment does elsewhere: with a `#` at the beginning of a word, and not
 * in quotes.
 *
 * @param value The value.
 */
export function endsInComment(value: string): boolean {
  const unquoted = value.replace(/'[^']*'|"(?:\\.|[^"\\])*"/g, "x");
  return /(?:^|[\s;,])#/.test(unquoted);
}

/**
 * Reads a setting strictly and goes on with its default where it is wrong, so that one pass finds
 * every problem.
 *
 * @param config The settings.
 * @param setting The setting's record.
 * @param problems Where a problem is added.
 * @returns The value, or the default.
 */
export function collectSetting<T>(config: Config, setting: Setting<T>, problems: Problem[]): T {
  const result = readSetting(config, setting);
  if (result.ok) return result.value;
  problems.push(result.problem);
  return setting.defaultValue;
}

/**
 * Finds everything that is wrong in those settings of a map that have a record.
 *
 * @param config The settings.
 * @param settings The records to check by, such as those of one scope.
 * @returns The problems; none where all is well.
 */
export function checkSettings(
  config: Config,
  settings: readonly Setting<unknown>[],
): Problem[] {
  const problems: Problem[] = [];
  for (const setting of settings) collectSetting(config, setting, problems);
  return problems;
}

/** No setting can hold these: a NUL can't be handed on, and U+FFFD is what unreadable bytes became. */
function refuseBrokenText(text: string, shown: string): void {
  const found = text.includes("\0")
    ? "a NUL character"
    : text.includes("\ufffd")
    ? "bytes that are not UTF-8"
    : undefined;
  if (found !== undefined) throw new TypeError(cannot("read", shown, { found, expected: "text" }));
}

/**
 * Typed settings of a server's own: declared once, and all of them checked before the server serves.
 *
 * @module
 */
import { defaultConfig, settingOrigin } from "../config/config.ts";
import { cannot, ConfigError, type Problem, problemAt } from "../config/errors.ts";
import { nearest } from "../config/nearest.ts";
import { readSetting, type Setting } from "../config/setting.ts";
import { ALL_SETTINGS } from "../config/settings.ts";
import {
  BYTE_LIMIT,
  FLAG,
  oneOf,
  SECONDS,
  textKind,
  type ValueKind,
  wholeNumber,
} from "../config/values.ts";

/** A kind of setting, made by {@linkcode string}, {@linkcode int} and their like. */
export interface SettingKind<T> {
  /** The form of a valid text, for messages. */
  readonly expected: string;
  /** Reads a text that isn't empty; throws an error that says what is wrong with it. */
  readonly parse: (text: string) => T;
  /** Its value where it is not written; without one, the setting has to be written. */
  readonly fallback: { readonly value: T } | undefined;
  /** Whether no message may show its value. */
  readonly isSecret: boolean;
}

/** The values of declared settings. */
export type SettingValues<D> = {
  readonly [K in keyof D]: D[K] extends SettingKind<infer T> ? T : never;
};

/** The declared settings by their names in files. */
const declared = new Map<string, SettingKind<unknown>>();

/**
 * Declares settings of the program's own, beside those of this framework, in the same files. `dbUrl` is written
 * `db-url = …`. The values can be read once the server has started: in hooks and in handlers.
 *
 * All problems are found before `beforeService`, and end the server with a message that names file and line.
 *
 * @param kinds The kind of each setting.
 * @returns The values.
 * @throws {TypeError} When a name belongs to a setting of this framework, or is declared twice.
 *
 * @example
 * ```ts
 * import { duration, int, serve, settings, string } from "@zc/master/serve";
 *
 * const own = settings({ greeting: string("hello"), workers: int(4), timeout: duration("30s") });
 *
 * if (import.meta.main) {
 *   await serve({ web: () => new Response(`${own.greeting} for ${own.timeout} ms\n`) });
 * }
 * ```
 */
export function settings<const D extends Readonly<Record<string, SettingKind<unknown>>>>(
  kinds: D,
): SettingValues<D> {
  const values = {};
  for (const [property, kind] of Object.entries(kinds)) {
    const name = property.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    requireFree(name);
    declared.set(name, kind);
    Object.defineProperty(values, property, { enumerable: true, get: () => read(name, kind) });
  }
  return values as SettingValues<D>;
}

/**
 * Checks all declared settings.
 *
 * @throws {ConfigError} With every problem.
 */
export function checkDeclaredSettings(): void {
  const problems = [...declared].flatMap(([name, kind]) => {
    const result = resultOf(name, kind);
    return result.ok ? [] : [result.problem];
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

function requireFree(name: string): void {
  const found = declared.has(name)
    ? "it is declared already"
    : ALL_SETTINGS.some((one) => one.name === name)
    ? "this framework has a setting of this name"
    : undefined;
  if (found === undefined) return;
  throw new TypeError(cannot("declare setting", name, { found, expected: "another name" }));
}

function read<T>(name: string, kind: SettingKind<T>): T {
  const result = resultOf(name, kind);
  if (result.ok) return result.value;
  throw new ConfigError([result.problem]);
}

type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

function resultOf<T>(name: string, kind: SettingKind<T>): Result<T> {
  const { expected, parse, fallback, isSecret } = kind;
  if ((defaultConfig.getRaw(name) ?? "") === "") {
    if (fallback !== undefined) return { ok: true, value: fallback.value };
    const meant = nearest(name, [...defaultConfig.keys()].filter((key) => !declared.has(key)));
    const found = meant === undefined ? "it is missing" : `it is missing, and there is ${meant}`;
    const message = cannot("read setting", name, { found, expected });
    const origin = meant === undefined ? undefined : settingOrigin(defaultConfig, meant);
    return { ok: false, problem: problemAt(origin, { key: name, message }) };
  }
  const record: Setting<T> = {
    ...{ name, isSecret, group: "process", scopes: ["server"], doc: "" },
    kind: { placeholder: "", expected, parse: isSecret ? withoutText(name, kind) : parse },
    // Not used, since there is a text.
    defaultValue: undefined as never,
  };
  return readSetting(defaultConfig, record);
}

/** The same parser, whose messages do not show the text. */
function withoutText<T>(name: string, { expected, parse }: SettingKind<T>): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch {
      const found = "a wrong value, which is secret";
      throw new TypeError(cannot("read", name, { found, expected }));
    }
  };
}

function kindOf<T>({ expected, parse }: ValueKind<T>, fallback?: T): SettingKind<T> {
  return {
    expected,
    parse,
    fallback: fallback === undefined ? undefined : { value: fallback },
    isSecret: false,
  };
}

/**
 * A text.
 *
 * @param fallback The default; without one the setting has to be written.
 * @returns The kind; its value is the text.
 */
export function string(fallback?: string): SettingKind<string> {
  return kindOf(textKind({ placeholder: "TEXT", expected: "a text" }), fallback);
}

/**
 * A whole number.
 *
 * @param fallback The default; without one the setting has to be written.
 * @param range The least and the greatest number, both included; default those that are exact.
 * @returns The kind; its value is the number.
 */
export function int(
  fallback?: number,
  { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER }: {
    readonly min?: number;
    readonly max?: number;
  } = {},
): SettingKind<number> {
  return kindOf(wholeNumber({ min, max, placeholder: "NUMBER" }), fallback);
}

/**
 * Yes or no.
 *
 * @param fallback The default; without one the setting has to be written.
 * @returns The kind; its value is true for a yes.
 */
export function boolean(fallback?: boolean): SettingKind<boolean> {
  return kindOf(FLAG, fallback);
}

/**
 * A time such as `90`, `90s`, `5m`, `2h`, `1d` or `1w`.
 *
 * @param fallback The default, as one would write it; without one the setting has to be written.
 * @returns Its value is in milliseconds.
 */
export function duration(fallback?: string): SettingKind<number> {
  return kindOf(SECONDS, fallback === undefined ? undefined : SECONDS.parse(fallback));
}

/**
 * A size such as `65536` (bytes), `64k`, `10m` or `1g`; `-1` is no limit, and reads as `Infinity`.
 *
 * @param fallback The default, as one would write it; without one the setting has to be written.
 * @returns Its value is in bytes.
 */
export function size(fallback?: string): SettingKind<number> {
  return kindOf(BYTE_LIMIT, fallback === undefined ? undefined : BYTE_LIMIT.parse(fallback));
}

/**
 * One of a few words.
 *
 * @param words The words.
 * @param fallback The default; without one the setting has to be written.
 * @returns The kind; its value is the word.
 */
export function choice<const T extends string>(
  words: readonly T[],
  fallback?: NoInfer<T>,
): SettingKind<T> {
  return kindOf<T>(oneOf(words), fallback);
}

/**
 * Several values with commas between them.
 *
 * @param of The kind of one value.
 * @param fallback The default; without one the setting has to be written.
 * @returns The kind; its value is the list.
 */
export function list<T>(of: SettingKind<T>, fallback?: readonly T[]): SettingKind<readonly T[]> {
  const { expected, parse } = of;
  return {
    expected: `${expected}; several with commas between them`,
    parse: (text) => text.split(",").map((part) => parse(part.trim())),
    fallback: fallback === undefined ? undefined : { value: fallback },
    isSecret: of.isSecret,
  };
}

/**
 * A setting that need not be written, and then is undefined.
 *
 * @param of Its kind.
 * @returns The kind; its value is undefined where the setting is not written.
 */
export function optional<T>(of: SettingKind<T>): SettingKind<T | undefined> {
  return {
    ...of,
    fallback: { value: undefined },
  };
}

/**
 * A setting whose value no message shows, such as a password.
 *
 * @param of Its kind.
 * @returns The kind, whose value no message shows.
 */
export function secret<T>(of: SettingKind<T>): SettingKind<T> {
  return { ...of, isSecret: true };
}

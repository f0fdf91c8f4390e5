/**
 * The settings of a program: an ordered map of strings with the origin of each value and LIB-ZC's typed
 * getters (its `zconfig_t`), and the instance of the process.
 *
 * The meaning and the validity of a setting are defined in `settings.ts`.
 *
 * @module
 */

import { settingName } from "./aliases.ts";
import { readable } from "../os/ffi/byte_text.ts";
import { type CfEntry, readCfFile } from "./cf.ts";
import type { Origin } from "./errors.ts";
import { isRepeated } from "./repeated.ts";
import { toBool, toInt, toLong, toSecond, toSize } from "./units.ts";

/** A setting as it is held. */
interface Slot {
  readonly value: string;
  /** The value with its original bytes, if they are not UTF-8. */
  readonly raw?: string;
  readonly origin?: Origin;
  /** The lines of a setting that was given several times and of which each counts. */
  readonly lines?: readonly Line[];
}

/** One line of a setting, with its original bytes. */
interface Line {
  readonly value: string;
  readonly origin?: Origin;
}

/** Gives the functions of this file what a map holds. */
let slotsOf: (config: Config) => Map<string, Slot>;

/**
 * An ordered map of settings. A value that is set again wins over the earlier one and keeps its
 * place in the order. An alias of a setting is the same key as its name, which {@linkcode Config.keys}
 * gives.
 *
 * The typed readings forgive: a setting that is missing, empty or makes no sense reads as the
 * default, as in LIB-ZC.
 *
 * @example
 * ```ts
 * import { Config } from "@zc/master";
 *
 * const config = new Config();
 * config.set("timeout", "5m");
 * console.assert(config.getSecond("timeout", 60) === 300);
 * console.assert(config.getSecond("grace", 60) === 60);
 * ```
 */
export class Config {
  readonly #slots = new Map<string, Slot>();

  static {
    slotsOf = (config) => config.#slots;
  }

  /** How many settings there are. */
  get size(): number {
    return this.#slots.size;
  }

  /**
   * Looks a setting up.
   *
   * @param key The setting's name.
   * @returns Its text, or `undefined` where it isn't set.
   */
  get(key: string): string | undefined {
    return this.#slots.get(settingName(key))?.value;
  }

  /**
   * Looks a setting up as it was written, for a path or a name that the system must get byte for byte.
   *
   * @param key The setting's name.
   * @returns Its text, in which bytes that are not UTF-8 are code units U+DC00 + byte. Where all is
   * UTF-8 it is the same as {@linkcode Config.get}.
   */
  getRaw(key: string): string | undefined {
    const slot = this.#slots.get(settingName(key));
    return slot?.raw ?? slot?.value;
  }

  /**
   * Sets a setting; the new value wins.
   *
   * @param key The setting's name.
   * @param value Its text; one of {@linkcode Config.getRaw} keeps its bytes.
   * @returns This object.
   */
  set(key: string, value: string): this {
    return setFrom(this, key, value);
  }

  /**
   * Tells whether a setting is set, be it to an empty text.
   *
   * @param key The setting's name.
   * @returns Whether it is set.
   */
  has(key: string): boolean {
    return this.#slots.has(settingName(key));
  }

  /**
   * Forgets a setting.
   *
   * @param key The setting's name.
   * @returns Whether it was set.
   */
  delete(key: string): boolean {
    return this.#slots.delete(settingName(key));
  }

  /**
   * The names of the settings, in the order in which they were first set.
   *
   * @returns An iterator over the names.
   */
  keys(): IterableIterator<string> {
    return this.#slots.keys();
  }

  /**
   * The settings, in the order in which they were first set.
   *
   * @returns An iterator over pairs of name and text.
   */
  *entries(): IterableIterator<[string, string]> {
    for (const [key, { value }] of this.#slots) yield [key, value];
  }

  /**
   * The same as {@linkcode Config.entries}, for `for … of`.
   *
   * @returns An iterator over pairs of name and text.
   */
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }

  /**
   * Reads a settings file and takes over its entries, in their order: the last one of a key wins. The lines of
   * `server-env` add up. Needs the permission to read the file.
   *
   * @param path The file.
   * @returns This object.
   * @throws {ConfigError} When the file can't be read; nothing is changed then.
   */
  loadFile(path: string): this {
    return loadEntries(this, readCfFile(path));
  }

  /**
   * Takes over every setting of another map, which wins.
   *
   * @param other The other map; it isn't changed.
   * @returns This object.
   */
  merge(other: Config): this {
    for (const [key, slot] of other.#slots) this.#slots.set(key, slot);
    return this;
  }

  /**
   * Reads a text.
   *
   * @param key The setting's name.
   * @param fallback What to answer where it isn't set. A setting that is set to nothing is `""`.
   * @returns The text.
   */
  getStr(key: string, fallback = ""): string {
    return this.get(key) ?? fallback;
  }

  /**
   * Reads a whole number of 32 bits; what follows its digits is ignored, as by atoi(3).
   *
   * @param key The setting's name.
   * @param fallback What to answer where it isn't set or doesn't begin with such a number.
   * @returns The number.
   */
  getInt(key: string, fallback = 0): number {
    return toInt(this.getStr(key), fallback);
  }

  /**
   * Reads a whole number up to 2^53 - 1; what follows its digits is ignored, as by atol(3).
   *
   * @param key The setting's name.
   * @param fallback What to answer where it isn't set or doesn't begin with such a number.
   * @returns The number.
   */
  getLong(key: string, fallback = 0): number {
    return toLong(this.getStr(key), fallback);
  }

  /**
   * Reads a truth value: `1 y yes true` or `0 n no false`, in capitals or not.
   *
   * @param key The setting's name.
   * @param fallback What to answer for any other text, or where it isn't set.
   * @returns The truth value.
   */
  getBool(key: string, fallback = false): boolean {
    return toBool(this.getStr(key), fallback);
  }

  /**
   * Reads a time: `90`, `90s`, `5m`, `2h`, `1d`, `1w`. A negative one is 0.
   *
   * @param key The setting's name.
   * @param fallback What to answer for any other text, or where it isn't set; in seconds.
   * @returns The time in seconds.
   */
  getSecond(key: string, fallback = 0): number {
    return toSecond(this.getStr(key), fallback);
  }

  /**
   * Reads a size: `512`, `64k`, `10m`, `1g`. A negative one is 0.
   *
   * @param key The setting's name.
   * @param fallback What to answer for any other text, or where it isn't set; in bytes.
   * @returns The size in bytes.
   */
  getSize(key: string, fallback = 0): number {
    return toSize(this.getStr(key), fallback);
  }
}

/** The settings of this process (LIB-ZC's `zvar_default_config`). */
export const defaultConfig: Config = new Config();

/**
 * Sets a setting; the new value wins.
 *
 * @param config The settings.
 * @param key The setting's name.
 * @param value Its text; one of {@linkcode Config.getRaw} keeps its bytes.
 * @param origin Where it was written; undefined for a value that the program decides.
 * @returns The settings.
 */
export function setFrom<C extends Config>(
  config: C,
  key: string,
  value: string,
  origin?: Origin,
): C {
  const slot = value.isWellFormed() ? { value } : { value: readable(value), raw: value };
  slotsOf(config).set(settingName(key), origin === undefined ? slot : { ...slot, origin });
  return config;
}

/** Tells where a setting was written; undefined where it isn't set or the program set it. */
export function settingOrigin(config: Config, key: string): Origin | undefined {
  return slotsOf(config).get(settingName(key))?.origin;
}

/** Takes over the entries of a file, in their order: the last one of a key wins. The lines of `server-env` add up. */
export function loadEntries<C extends Config>(config: C, entries: Iterable<CfEntry>): C {
  for (const { key, value, raw = value, file, line } of entries) {
    const before = isRepeated(key) ? linesOf(config, key) : [];
    setFrom(config, key, raw, { file, line });
    if (before.length > 0) join(config, key, [...before, ...linesOf(config, key)]);
  }
  return config;
}

function join(config: Config, key: string, lines: readonly Line[]): void {
  setFrom(config, key, lines.map(({ value }) => value).join("\n"), lines.at(-1)!.origin);
  slotsOf(config).set(key, { ...slotsOf(config).get(key)!, lines });
}

function linesOf(config: Config, key: string): readonly Line[] {
  const slot = slotsOf(config).get(key);
  if (slot === undefined) return [];
  return slot.lines ?? [{ value: slot.raw ?? slot.value, origin: slot.origin }];
}

/** The origin of the first line of a setting whose text fails a check; that of the last line if each passes. */
export function originOfFault(
  config: Config,
  key: string,
  isValid: (text: string) => boolean,
): Origin | undefined {
  const fault = linesOf(config, settingName(key)).find(({ value }) => !isValid(value));
  return fault === undefined ? settingOrigin(config, key) : fault.origin;
}

/**
 * The kinds of value of settings: each with its strict parser, and with its words in error messages, `-help` and
 * the reference page.
 *
 * @module
 */

import { cannot } from "./errors.ts";
import { BYTES_PER_UNIT, SECONDS_PER_UNIT, toBool } from "./units.ts";

/** A kind of value. */
export interface ValueKind<T> {
  /** The placeholder in `-help`, such as `SECONDS`. */
  readonly placeholder: string;
  /** The form of a valid value, for messages and the reference page. */
  readonly expected: string;
  /**
   * Reads a value that isn't empty.
   *
   * Throws a `TypeError`, `RangeError` or `SyntaxError` worded `Cannot …: FOUND, expected WANTED`.
   */
  readonly parse: (text: string) => T;
}

/** A flag: written `--name`, or `name = yes` in a file. */
export const FLAG: ValueKind<boolean> = {
  placeholder: "",
  expected: "yes or no",
  parse(text) {
    const value = toBool(text, true);
    // A valid text reads the same with any default.
    if (value !== toBool(text, false)) throw refuse(text, "neither", FLAG.expected);
    return value;
  },
};

/** A time; its value is in milliseconds, and may be beyond what one timer can wait (2^31 - 1). */
export const SECONDS: ValueKind<number> = {
  placeholder: "SECONDS",
  expected: "a time such as 90, 90s, 5m, 2h, 1d or 1w",
  parse: (text) => parseWithUnit(text, SECONDS_PER_UNIT, SECONDS.expected) * 1_000,
};

/** A count within a period. */
export interface Rate {
  /** The count. */
  readonly count: number;
  /** The period in milliseconds. */
  readonly withinMs: number;
}

/** The most events within a period. */
export const RATE: ValueKind<Rate> = {
  placeholder: "COUNT/SECONDS",
  expected: "a count and a time such as 5/60 or 5/1m, neither of them 0",
  parse(text) {
    const match = /^([0-9]+)\/([0-9]+[A-Za-z]?)$/.exec(text);
    if (match === null) throw refuse(text, "not a count and a time", RATE.expected);
    const [, count, time] = match;
    const withinMs = parseWithUnit(time, SECONDS_PER_UNIT, RATE.expected) * 1_000;
    const rate = { count: Number(count), withinMs };
    if (rate.count > 0 && rate.withinMs > 0 && Number.isSafeInteger(rate.count)) return rate;
    throw new RangeError(cannot("read", text, { found: "out of range", expected: RATE.expected }));
  },
};

/** A limit in bytes; `Infinity`, written `-1`, means no limit. */
export const BYTE_LIMIT: ValueKind<number> = {
  placeholder: "SIZE",
  expected: "a size such as 65536 (bytes), 64k, 10m or 1g, or -1 for no limit",
  parse: (text) =>
    text === "-1" ? Infinity : parseWithUnit(text, BYTES_PER_UNIT, BYTE_LIMIT.expected),
};

/**
 * Any text that isn't empty.
 *
 * @param words The kind's words.
 * @returns The kind.
 */
export function textKind(
  words: { readonly placeholder: string; readonly expected: string },
): ValueKind<string> {
  return { ...words, parse: (text) => text };
}

/**
 * A value that a parser of this layer reads.
 *
 * @param parse The parser; it throws worded errors for a bad text.
 * @param words The kind's words.
 * @returns The kind.
 */
export function parsedKind<T>(
  parse: (text: string) => T,
  words: { readonly placeholder: string; readonly expected: string },
): ValueKind<T> {
  return { ...words, parse };
}

/**
 * A whole number within bounds. A comment after it is ignored, as by atoi(3); it is reported as a warning.
 *
 * @param range `min` and `max`, both included; `placeholder`: its name in `-help`.
 */
export function wholeNumber(
  range: { readonly min: number; readonly max: number; readonly placeholder: string },
): ValueKind<number> {
  const { min, max, placeholder } = range;
  const expected = `a whole number from ${min} to ${max}`;
  return {
    placeholder,
    expected,
    parse(text) {
      const match = /^([+-]?[0-9]+)(?:\s+#.*)?$/.exec(text);
      if (match === null) throw refuse(text, "not a whole number", expected);
      const value = Number(match[1]);
      if (value >= min && value <= max) return value;
      const found = value < min ? `below ${min}` : `above ${max}`;
      throw new RangeError(cannot("read", text, { found, expected }));
    },
  };
}

/** One of a few words. */
export function oneOf<const T extends string>(words: readonly T[]): ValueKind<T> {
  const expected = words.join(", ");
  return {
    placeholder: words.join("|"),
    expected: `one of ${expected}`,
    parse(text) {
      const word = words.find((word) => word === text);
      if (word === undefined) throw refuse(text, "an unknown word", `one of ${expected}`);
      return word;
    },
  };
}

function refuse(text: string, found: string, expected: string): TypeError {
  return new TypeError(cannot("read", text, { found, expected }));
}

/** Reads a number with at most one unit letter after it. */
function parseWithUnit(text: string, units: ReadonlyMap<string, number>, expected: string): number {
  const match = /^([0-9]+)([A-Za-z]?)$/.exec(text);
  if (match === null) throw refuse(text, "not a number with a unit", expected);
  const factor = match[2] === "" ? 1 : units.get(match[2].toLowerCase());
  if (factor === undefined) throw refuse(text, `an unknown unit "${match[2]}"`, expected);
  const value = Number(match[1]) * factor;
  if (Number.isSafeInteger(value * 1_000)) return value;
  throw new RangeError(cannot("read", text, { found: "too large a number", expected }));
}

/**
 * LIB-ZC's lenient parsers of a value: a whole number, a truth value, a time, a size. An invalid text reads as the
 * caller's default.
 *
 * The strict parsers, with error messages, are in `values.ts`.
 *
 * @module
 */

/** Seconds in each unit that a time may end with (small letter; capitals mean the same). */
export const SECONDS_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3_600],
  ["d", 86_400],
  ["w", 604_800],
]);

/** Bytes in each unit that a size may end with (small letter; capitals mean the same). */
export const BYTES_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ["b", 1],
  ["k", 1_024],
  ["m", 1_048_576],
  ["g", 1_073_741_824],
]);

const INT_MIN = -2_147_483_648;
const INT_MAX = 2_147_483_647;

/**
 * Reads a 64-bit number as atol(3) does: leading white space and a sign are allowed, and what
 * follows the digits is ignored.
 *
 * @param text The value.
 * @param fallback What to answer for a text that doesn't begin with a number (C would answer 0), or
 * for a number that JavaScript can't hold exactly.
 * @returns The number.
 */
export function toLong(text: string, fallback: number): number {
  const match = /^[\t-\r ]*([+-]?[0-9]+)/.exec(text);
  const value = match === null ? NaN : Number(match[1]);
  return Number.isSafeInteger(value) ? value : fallback;
}

/**
 * Reads a 32-bit number; as {@linkcode toLong}, but what doesn't fit in 32 bits is the fallback.
 *
 * @param text The value.
 * @param fallback What to answer where there is no such number.
 * @returns The number.
 */
export function toInt(text: string, fallback: number): number {
  const value = toLong(text, fallback);
  return value >= INT_MIN && value <= INT_MAX ? value : fallback;
}

/**
 * Reads a truth value: `1 y yes true` or `0 n no false`, in capitals or not.
 *
 * @param text The value.
 * @param fallback What to answer for any other text.
 * @returns The truth value.
 */
export function toBool(text: string, fallback: boolean): boolean {
  switch (text.toLowerCase()) {
    case "1":
    case "y":
    case "yes":
    case "true":
      return true;
    case "0":
    case "n":
    case "no":
    case "false":
      return false;
    default:
      return fallback;
  }
}

/**
 * Reads a time in seconds: `90`, `90s`, `5m`, `2h`, `1d`, `1w`. As in LIB-ZC a negative one is 0 and
 * an unknown unit counts as seconds.
 *
 * @param text The value.
 * @param fallback What to answer for anything else, in seconds.
 * @returns The time in seconds.
 */
export function toSecond(text: string, fallback: number): number {
  return scan(text, SECONDS_PER_UNIT) ?? fallback;
}

/**
 * Reads a size in bytes: `512`, `64k`, `10m`, `1g`. As in LIB-ZC a negative one is 0 and an unknown
 * unit counts as bytes.
 *
 * @param text The value.
 * @param fallback What to answer for anything else, in bytes.
 * @returns The size in bytes.
 */
export function toSize(text: string, fallback: number): number {
  return scan(text, BYTES_PER_UNIT) ?? fallback;
}

/** Like sscanf(3) with `%ld%c%c`, where only the number and one byte may match. */
function scan(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const match = /^[\t-\r ]*([+-]?[0-9]+)([\0-\x7f]?)$/.exec(text);
  if (match === null) return undefined;
  const value = Math.max(0, Number(match[1])) * (units.get(match[2].toLowerCase()) ?? 1);
  return Number.isSafeInteger(value) ? value : undefined;
}

/**
 * Sets of sequence numbers and UIDs, such as `1:3,7,9:*`.
 *
 * @module
 */
import type { Scanner } from "./scanner.ts";

/** Ranges with both ends; `*` is Infinity. */
export type NumberSet = readonly (readonly [from: number, to: number])[];

/** Reads a set. */
export function readSet(scanner: Scanner): NumberSet {
  const range = /(?:[0-9]{1,10}|\*)(?::(?:[0-9]{1,10}|\*))?/.source;
  const text = scanner.match(new RegExp(`${range}(?:,${range})*`), "a set of numbers");
  return text.split(",").map((range) => {
    const [from, to = from] = range.split(":").map((end) => end === "*" ? Infinity : Number(end));
    return [from, to] as const;
  });
}

/**
 * Whether a number is in a set.
 *
 * @param set The set.
 * @param number The number.
 * @param last The number that `*` means: the greatest.
 */
export function isInSet(set: NumberSet, number: number, last: number): boolean {
  return set.some((range) => {
    const [from, to] = range.map((end) => end === Infinity ? last : end);
    return number >= Math.min(from, to) && number <= Math.max(from, to);
  });
}

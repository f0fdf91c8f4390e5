/**
 * When the file of a service's output is renamed: `server-output-rotate`.
 *
 * @module
 */
import { cannot } from "./errors.ts";
import { BYTE_LIMIT } from "./values.ts";

/** When a file is renamed. */
export interface Rotation {
  /** Before a write that would make it larger, in bytes. */
  readonly maxBytes?: number;
  /** At the first write of another day or hour. */
  readonly period?: "day" | "hour";
}

/** What a value must look like. */
export const ROTATION_FORM =
  "a size such as 64k, 10m or 1g, or day or hour, or both parted by a comma, or off";

/**
 * Reads a `server-output-rotate`.
 *
 * @param text The value.
 * @returns When the file is renamed.
 * @throws {TypeError} When it isn't of that form.
 */
export function parseRotation(text: string): Rotation {
  if (text === "off") return {};
  const words = text.split(/[, \t]+/),
    rotation: { maxBytes?: number; period?: "day" | "hour" } = {};
  for (const word of words) {
    const isPeriod = word === "day" || word === "hour", key = isPeriod ? "period" : "maxBytes";
    if (rotation[key] !== undefined) throw refuse(text, `two words of one kind`);
    if (isPeriod) rotation.period = word;
    else rotation.maxBytes = sizeOf(word, text);
  }
  return rotation;
}

function sizeOf(word: string, text: string): number {
  if (!/^[1-9][0-9]*[A-Za-z]?$/.test(word)) throw refuse(text, `"${word}"`);
  try {
    return BYTE_LIMIT.parse(word);
  } catch {
    throw refuse(text, `"${word}"`);
  }
}

function refuse(text: string, found: string): TypeError {
  return new TypeError(cannot("read", text, { found, expected: ROTATION_FORM }));
}

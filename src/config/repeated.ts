/**
 * The settings of which every line of a file counts, rather than the last one.
 *
 * @module
 */

const NAMES: ReadonlySet<string> = new Set(["server-env"]);

/**
 * Whether the lines of a setting add up.
 *
 * @param name The name of its record.
 */
export function isRepeated(name: string): boolean {
  return NAMES.has(name);
}

/**
 * Stand-in for `@std/ini/stringify`.
 * @module
 */

/** Turns a value into its text. */
// deno-lint-ignore no-explicit-any
export type ReplacerFunction = (key: string, value: any, section?: string) => string;

/** Options of {@linkcode stringify}. */
export interface StringifyOptions {
  /** What stands between two lines, by default a line feed. */
  lineBreak?: "\n" | "\r\n" | "\r";
  /** True for a blank on either side of each `=`. */
  pretty?: boolean;
  /** Makes the text of each value, by default like a template literal. */
  replacer?: ReplacerFunction;
}

/** Whether a value is written as a section; lists and dates are texts. */
function isSection(value: unknown): value is object {
  return Object.prototype.toString.call(value) === "[object Object]";
}

/**
 * Writes an object as INI text: first its plain values, then a section for each object in it.
 * There is no line break at the end.
 *
 * @param object What is written.
 * @param options How it is written.
 * @returns The text.
 */
export function stringify(object: object, options: StringifyOptions = {}): string {
  const { lineBreak = "\n", pretty = false, replacer = (_key, value) => `${value}` } = options;
  const assignment = pretty ? " = " : "=";
  const plain: string[] = [];
  const sections: string[] = [];
  for (const [key, value] of Object.entries(object)) {
    if (!isSection(value)) {
      plain.push(key + assignment + replacer(key, value));
      continue;
    }
    sections.push(`[${key}]`);
    for (const [name, inner] of Object.entries(value)) {
      sections.push(name + assignment + replacer(name, inner, key));
    }
  }
  return [...plain, ...sections].join(lineBreak);
}

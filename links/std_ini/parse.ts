/**
 * Stand-in for `@std/ini/parse`.
 * @module
 */

/** Makes the value that is kept out of the value that was read: a text, or what it stands for. */
export type ReviverFunction = (
  key: string,
  value: string | number | boolean | null,
  section?: string,
) => unknown;

/** Options of {@linkcode parse}. */
export interface ParseOptions {
  /** Changes each value after numbers, `null`, `true`, `false` and double quotes have been read. */
  reviver?: ReviverFunction;
}

/** What a text stands for. */
function valueOf(text: string): string | number | boolean | null {
  if (text === "null") return null;
  if (text === "true" || text === "false") return text === "true";
  if (/^".*"$/.test(text)) return text.slice(1, -1);
  return Number.isNaN(Number(text)) ? text : Number(text);
}

/** Sets an own property, whatever its name (`__proto__` is one like any other). */
function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

/**
 * Reads INI text. Lines that begin with `#`, `;` or `//` are comments; `[name]` opens a section,
 * which becomes an object of its own.
 *
 * @param text The text.
 * @param options How values are made.
 * @returns An object with the keys and the sections.
 * @throws {SyntaxError} On a line that is nothing of that, with its number.
 */
export function parse<T extends object>(text: string, options: ParseOptions = {}): T {
  const { reviver = (_key, value) => value } = options;
  const root = {};
  let target: object = root;
  let section: string | undefined;

  for (const [index, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const fail = (problem: string) => new SyntaxError(`${problem} in INI at line ${index + 1}`);
    const line = raw.trim();
    if (line === "" || /^(?:#|;|\/\/)/.test(line)) continue;
    if (line.startsWith("[")) {
      if (!line.endsWith("]")) throw fail("Section without its closing bracket");
      section = line.slice(1, -1);
      if (section.trim() === "") throw fail("Section without a name");
      target = {};
      define(root, section, target);
      continue;
    }
    const equals = line.indexOf("=");
    if (equals < 0) throw fail(`"${line}" without an assignment`);
    const key = line.slice(0, equals).trim();
    if (key === "") throw fail("Value without a key");
    const value = valueOf(line.slice(equals + 1).trim());
    define(target, key, reviver(key, value, section));
  }
  return root as T;
}

/**
 * Stand-in for `@std/ini/parse`.
 * @module
 */

/** Turns the text of a value into the value that is kept. */
// deno-lint-ignore no-explicit-any
export type ReviverFunction = (key: string, value: any, section?: string) => any;

/** Options of {@linkcode parse}. */
export interface ParseOptions {
  /** Makes the values; the default knows numbers, `null`, `true`, `false` and double quotes. */
  reviver?: ReviverFunction;
}

function revive(_key: string, value: string): unknown {
  if (!value.includes('"') && !Number.isNaN(Number(value))) return Number(value);
  if (value === "null") return null;
  if (value === "true" || value === "false") return value === "true";
  return value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
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
  const reviver: ReviverFunction = options.reviver ?? revive;
  const root = {};
  let target: object = root;
  let section: string | undefined;

  for (const [index, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const fail = (problem: string) => new SyntaxError(`${problem} in INI at line ${index + 1}`);
    const line = raw.replace(/^[ \t]+/, "");
    if (line === "" || /^(?:#|;|\/\/)/.test(line)) continue;
    if (line.startsWith("[")) {
      if (!line.endsWith("]")) throw fail("Section without its closing bracket");
      section = line.slice(1, -1);
      if (section === "") throw fail("Section without a name");
      target = {};
      define(root, section, target);
      continue;
    }
    const equals = line.indexOf("=");
    if (equals < 0) throw fail(`"${line}" without an assignment`);
    const key = line.slice(0, equals).trim();
    if (key === "") throw fail("Value without a key");
    define(target, key, reviver(key, line.slice(equals + 1).trim(), section));
  }
  return root as T;
}

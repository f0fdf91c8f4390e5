/**
 * The grammar of Deno's flags: which of them take a value, and where the value is.
 *
 * @module
 */

/** What the value of a flag is: a path or URL, another text, or something for one process alone. */
type ValueKind = "path" | "text" | "of one process";

/** The flags whose value may be the next word. All others have theirs in the same word, behind "=". */
export const VALUED: ReadonlyMap<string, ValueKind> = new Map([
  ...ofKind("path", ["cert", "config", "import", "import-map", "lock", "preload", "require"]),
  ...ofKind("text", ["conditions", "ext", "location", "log-level", "min-dep-age"]),
  ...ofKind("text", ["node-modules-linker", "seed"]),
  ...ofKind("of one process", ["cpu-prof-dir", "cpu-prof-interval", "cpu-prof-name"]),
  ...ofKind("of one process", ["inspect-publish-uid"]),
]);

function ofKind(kind: ValueKind, names: readonly string[]): [string, ValueKind][] {
  return names.map((name) => [name, kind]);
}

/** Short forms. */
const LETTERS: Readonly<Record<string, string>> = { c: "config", L: "log-level", q: "quiet" };

/** A flag by its long name, with its value. */
export interface DenoFlag {
  readonly name: string;
  readonly value?: string;
}

/**
 * Reads flags. A letter that stands for no known flag is left out.
 *
 * @param words The words of a command line before the script.
 */
export function readFlags(words: readonly string[]): DenoFlag[] {
  return words.flatMap((word, index) => {
    const flags = flagsInWord(word), next = words[index + 1];
    return takesNextWord(word, next)
      ? flags.with(-1, { name: flags.at(-1)!.name, value: next })
      : flags;
  });
}

/**
 * The letters in a word of short flags, without a value that belongs to one of them but with the `=` before it:
 * `-RNA` gives `RNA`, `-E=HOME` gives `E=`, and `-cA.json` nothing, since it names the file `A.json`.
 */
export function lettersIn(word: string): string {
  return /^-([A-KM-Zabd-z]*=?)/.exec(word)?.[1] ?? "";
}

/** A flag with its value as one word. */
export function wordOf({ name, value }: DenoFlag): string {
  return value === undefined ? `--${name}` : `--${name}=${value}`;
}

/**
 * Whether the word behind a flag is its value.
 *
 * @param word The word with the flag.
 * @param next The word behind it.
 */
export function takesNextWord(word: string, next: string | undefined): boolean {
  const last = flagsInWord(word).at(-1);
  return last !== undefined && last.value === undefined && VALUED.has(last.name) &&
    next?.startsWith("-") === false;
}

/** The flags in one word; the last one has the value in this word. */
function flagsInWord(word: string): DenoFlag[] {
  const [, long, value] = /^--([a-z\d-]+)(?:=(.*))?$/s.exec(word) ?? [];
  if (long !== undefined) return [{ name: long, ...(value !== undefined && { value }) }];
  const [, letters = "", valued, attached = ""] = /^-([A-Zbd-z]*?)(?:([cL])=?(.*))?$/s.exec(word) ??
    [];
  return [
    ...letters.split("").flatMap((letter) => LETTERS[letter] ? [{ name: LETTERS[letter] }] : []),
    ...(valued === undefined
      ? []
      : [{ name: LETTERS[valued], ...(attached !== "" && { value: attached }) }]),
  ];
}

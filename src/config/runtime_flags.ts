/**
 * The flags of the runtime with which a program starts itself again: those that say how its modules are
 * found and run. Permissions come from `server-permissions`, and the flags for a debugger, a profile or a
 * watcher are for one process alone.
 *
 * @module
 */

/** Flags with a value, which may be the next word. */
const VALUED: ReadonlySet<string> = new Set([
  ...["cert", "conditions", "config", "ext", "import", "import-map", "location", "lock"],
  ...["log-level", "min-dep-age", "node-modules-linker", "preload", "require", "seed"],
]);

/** Those of them whose value is a path, or a URL. */
const PATHS: ReadonlySet<string> = new Set([
  ...["cert", "config", "import", "import-map", "lock", "preload", "require"],
]);

/** Flags without a value, or with one in the same word. */
const PLAIN = new RegExp(
  "^(?:allow-scripts|cached-only|check|frozen|frozen-lockfile|no-check|no-code-cache|no-config|" +
    "no-lock|no-npm|no-remote|node-modules-dir|quiet|unsafely-ignore-certificate-errors|" +
    "unstable(?:-[a-z-]+)?|use-env-proxy|v8-flags|vendor)$",
);

/** Short forms. */
const LETTERS: Readonly<Record<string, string>> = { c: "config", L: "log-level", q: "quiet" };

/**
 * Picks the flags that a further process of the same program needs.
 *
 * @param flags The flags before the main module, as they were given.
 * @param resolve Makes a path absolute.
 * @returns The flags, each in one word.
 */
export function flagsToPassOn(
  flags: readonly string[],
  resolve: (path: string) => string,
): string[] {
  const kept: string[] = [];
  for (let i = 0; i < flags.length; i++) {
    for (const { name, value } of namesIn(flags[i])) {
      if (!VALUED.has(name) && !PLAIN.test(name)) continue;
      const isNext = VALUED.has(name) && value === undefined &&
        flags[i + 1]?.startsWith("-") === false;
      const given = isNext ? flags[++i] : value;
      const found = given !== undefined && PATHS.has(name) ? located(given, resolve) : given;
      kept.push(found === undefined ? `--${name}` : `--${name}=${found}`);
    }
  }
  return kept;
}

/** The long names of the flags in one word, the last one with the value in this word. */
function namesIn(word: string): { readonly name: string; readonly value?: string }[] {
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

/** A path from the root on; a URL stays. */
function located(value: string, resolve: (path: string) => string): string {
  return /^[a-z][a-z\d+.-]*:/i.test(value) ? value : resolve(value);
}

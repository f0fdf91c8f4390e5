/**
 * Other names of settings. An alias can be written wherever the name can: in files, on a command
 * line, in a hook. Both are one key of a `Config`, so the later one wins, as with a key that is given
 * twice.
 *
 * @module
 */

const NAMES: ReadonlyMap<string, string> = new Map([
  ["server-spare-count", "server-standby-count"],
]);

/** Every alias. */
export const ALIASES: readonly string[] = [...NAMES.keys()];

/**
 * The name of a setting that may be written by an alias.
 *
 * @param key The name as written.
 * @returns The name of its record; a key that is no alias as it is.
 */
export function settingName(key: string): string {
  return NAMES.get(key) ?? key;
}

/**
 * The aliases of a setting.
 *
 * @param name The name of its record.
 */
export function aliasesOf(name: string): string[] {
  return ALIASES.filter((alias) => settingName(alias) === name);
}

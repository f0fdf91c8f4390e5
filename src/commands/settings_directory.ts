/**
 * A directory of settings files that was given as a plain argument, without `-C`.
 *
 * @module
 */
import { settingsFilesOf } from "../config/directory.ts";
import { CONFIG_DIR } from "../config/settings.ts";

/** Whether a plain argument is a directory with the settings of services. */
export function isSettingsDirectory(path: string): boolean {
  return settingsFilesOf(path).cf.length > 0;
}

/**
 * What a message says of such a directory.
 *
 * @param directory The directory.
 * @param words The command and its other plain arguments.
 */
export function directoryInsteadOf(
  directory: string,
  words: readonly string[],
): { readonly found: string; readonly expected: string } {
  const expected = [...words, `-${CONFIG_DIR.name}`, directory].join(" ");
  return { found: `${directory} is a directory of settings files`, expected };
}

/**
 * The output of `--debug-config`.
 *
 * @module
 */
import { stringify } from "@std/ini";
import type { Config } from "./config.ts";
import { isSecret } from "./settings.ts";

/**
 * Writes settings as a settings file would have them (`--debug-config`).
 *
 * @param config The settings.
 * @returns A line `key = value` for each; without the value where that is secret.
 */
export function renderSettings(config: Config): string {
  const shown = [...config].map(([key, value]) => [key, isSecret(key) ? "(not shown)" : value]);
  return `${stringify(Object.fromEntries(shown), { pretty: true })}\n`;
}

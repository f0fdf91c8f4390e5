/**
 * The output of `--debug-config`.
 *
 * @module
 */
import { stringify } from "@std/ini";
import type { Config } from "./config.ts";

/**
 * Writes settings as a settings file would have them (`--debug-config`).
 *
 * @param config The settings.
 * @returns A line `key = value` for each.
 */
export function renderSettings(config: Config): string {
  return `${stringify(Object.fromEntries(config), { pretty: true })}\n`;
}

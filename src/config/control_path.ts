/**
 * The path of the control socket, from two settings.
 *
 * @module
 */
import type { Config } from "./config.ts";
import { readStrictly } from "./effective.ts";
import { MASTER_CONTROL, PID_FILE } from "./settings.ts";

/**
 * The path of the control socket of a master.
 *
 * @param config The settings of the master.
 * @returns The path; undefined without a control socket.
 * @throws {ConfigError} When a setting can't be read.
 */
export function controlPath(config: Config): string | undefined {
  const path = readStrictly(config, MASTER_CONTROL);
  if (path === "off") return undefined;
  return path ?? `${readStrictly(config, PID_FILE)}.sock`;
}

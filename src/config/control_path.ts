/**
 * The paths of the control socket and of the status socket, from settings.
 *
 * @module
 */
import type { Config } from "./config.ts";
import { readStrictly } from "./effective.ts";
import { MASTER_CONTROL, MASTER_STATUS, METRICS, PID_FILE } from "./settings.ts";

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

/**
 * The path of the status socket of a master.
 *
 * @param config The settings of the master.
 * @returns The path; undefined without a status socket.
 * @throws {ConfigError} When a setting can't be read.
 */
export function statusPath(config: Config): string | undefined {
  const path = readStrictly(config, MASTER_STATUS);
  if (path !== undefined || readStrictly(config, METRICS) === undefined) return path;
  return `${readStrictly(config, PID_FILE)}.status.sock`;
}

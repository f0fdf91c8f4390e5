/**
 * What LIB-ZC's own servers make of values that are wrong. A server of this kind must serve under a
 * C master wherever one in C does: nobody has checked the settings there.
 *
 * @module
 */
import type { Config } from "./config.ts";
import { asWarning, type Problem } from "./errors.ts";
import { readSetting, type Setting } from "./setting.ts";
import {
  CORE_FILE_SIZE,
  DEBUG,
  DEBUG_CONFIG,
  EXIT_AFTER,
  MAX_MEMORY,
  SERVER_LOG,
  SERVER_STOP_ON_SOFTSTOP_AFTER,
} from "./settings.ts";
import { toSecond } from "./units.ts";

/** Another value in place of a wrong one: empty for the default, undefined where LIB-ZC ends too. */
type Reading = (text: string) => string | undefined;

const toDefault: Reading = () => "";

/** A number with one letter behind it counts as seconds, one below 0 as 0. */
const time: Reading = (text) => {
  const seconds = toSecond(text, NaN);
  return Number.isNaN(seconds) ? "" : String(seconds);
};

const logTarget: Reading = (text) => {
  const [kind, facility, ...rest] = text.split(/[, \t]+/).filter((word) => word !== "");
  if (kind === "stdout") return kind;
  if (kind === "syslog" && facility !== undefined && rest.length < 2) {
    return ["syslog", "syslog", ...rest].join();
  }
  return kind === "syslog" || kind === "masterlog" ? undefined : "";
};

/** The settings that LIB-ZC's servers read. */
const READINGS: readonly (readonly [Setting<unknown>, Reading])[] = [
  [SERVER_LOG, logTarget],
  [SERVER_STOP_ON_SOFTSTOP_AFTER, time],
  [EXIT_AFTER, time],
  [DEBUG, toDefault],
  [DEBUG_CONFIG, toDefault],
  [MAX_MEMORY, toDefault],
  [CORE_FILE_SIZE, toDefault],
];

/**
 * Puts values that can be read in place of wrong ones, where LIB-ZC's servers go on as well.
 *
 * @param config The settings of a server; they are changed.
 * @param options `isByHand`: whether a person has typed its arguments, which then must be right.
 * @returns What was wrong, as warnings.
 */
export function forgive(
  config: Config,
  { isByHand }: { readonly isByHand: boolean },
): Problem[] {
  const warnings: Problem[] = [];
  for (const [setting, reading] of READINGS) {
    const result = readSetting(config, setting), key = setting.name;
    if (isByHand && config.origin(key) === "argument") continue;
    const value = result.ok ? undefined : reading(config.getRaw(key) ?? "");
    if (result.ok || value === undefined) continue;
    config.set(key, value, config.origin(key));
    if (!readSetting(config, setting).ok) config.set(key, "", config.origin(key));
    const used = config.getStr(key) === "" ? "its default" : config.getStr(key);
    const message = `${result.problem.message}; ${used} is used, as LIB-ZC does`;
    warnings.push(asWarning({ ...result.problem, message }));
  }
  return warnings;
}

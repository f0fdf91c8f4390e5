/**
 * LIB-ZC's readings of invalid values. Under a C master, which checks nothing, a server of this kind must start
 * wherever one in C does.
 *
 * @module
 */
import { type Config, setFrom, settingOrigin } from "./config.ts";
import { asWarning, type Problem } from "./errors.ts";
import { readSetting, type Setting } from "./setting.ts";
import {
  CORE_FILE_SIZE,
  DEBUG,
  DEBUG_CONFIG,
  EXIT_AFTER,
  LOG_FORMAT,
  LOG_LEVEL,
  MAX_MEMORY,
  SERVER_LOG,
  SERVER_STOP_ON_SOFTSTOP_AFTER,
} from "./settings.ts";
import { toSecond } from "./units.ts";

/** Replaces an invalid value: "" for the default, undefined where LIB-ZC's server exits too. */
type Reading = (text: string) => string | undefined;

const toDefault: Reading = () => "";

/** A number with any one letter after it counts as seconds, a negative one as 0. */
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

/** The settings that LIB-ZC's servers read, and those of this framework that they ignore. */
const READINGS: readonly (readonly [Setting<unknown>, Reading])[] = [
  [SERVER_LOG, logTarget],
  [SERVER_STOP_ON_SOFTSTOP_AFTER, time],
  [EXIT_AFTER, time],
  [DEBUG, toDefault],
  [DEBUG_CONFIG, toDefault],
  [LOG_LEVEL, toDefault],
  [LOG_FORMAT, toDefault],
  [MAX_MEMORY, toDefault],
  [CORE_FILE_SIZE, toDefault],
];

/**
 * Replaces invalid values as LIB-ZC's servers do.
 *
 * @param config The settings of a server; they are changed.
 * @param options `isByHand`: whether a person has typed its arguments, which then must be valid.
 * @returns The invalid values, as warnings.
 */
export function forgive(
  config: Config,
  { isByHand }: { readonly isByHand: boolean },
): Problem[] {
  const warnings: Problem[] = [];
  for (const [setting, reading] of READINGS) {
    const result = readSetting(config, setting), key = setting.name;
    if (isByHand && settingOrigin(config, key) === "argument") continue;
    const value = result.ok ? undefined : reading(config.getRaw(key) ?? "");
    if (result.ok || value === undefined) continue;
    setFrom(config, key, value, settingOrigin(config, key));
    if (!readSetting(config, setting).ok) setFrom(config, key, "", settingOrigin(config, key));
    const used = config.getStr(key) === "" ? "its default" : config.getStr(key);
    const message = `${result.problem.message}; ${used} is used, as LIB-ZC does`;
    warnings.push(asWarning({ ...result.problem, message }));
  }
  return warnings;
}

/**
 * The values of `log-level` and `log-format`. Lines are written in `src/log/`.
 *
 * @module
 */

/** How important a log line is. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** All levels, from the least important on. */
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** The forms of log lines on a standard output; `auto` chooses one by what the output is. */
export const LOG_FORMATS = ["auto", "text", "terminal", "journal", "json"] as const;

/** The form of log lines on a standard output. */
export type LogFormat = typeof LOG_FORMATS[number];

/**
 * The parser of `server-log` and of the master's `-log-service`. Logs are written in `src/log/`.
 *
 * @module
 */

import { UNIX_PATH_MAX } from "./address.ts";
import { encodeText } from "../os/ffi/byte_text.ts";
import { cannot } from "./errors.ts";

/** Facility numbers of RFC 3164, section 4.1.1, for the names that LIB-ZC knows. */
export const SYSLOG_FACILITIES: ReadonlyMap<string, number> = new Map([
  ["kern", 0],
  ["user", 1],
  ["mail", 2],
  ["daemon", 3],
  ["auth", 4],
  ["syslog", 5],
  ["lpr", 6],
  ["news", 7],
  ["uucp", 8],
  ["cron", 9],
  ["authpriv", 10],
  ["ftp", 11],
  ["local0", 16],
  ["local1", 17],
  ["local2", 18],
  ["local3", 19],
  ["local4", 20],
  ["local5", 21],
  ["local6", 22],
  ["local7", 23],
]);

/** The destination of a process's log lines. Without a `server-log` it is stderr. */
export type LogTarget =
  | {
    /** The system's log. */
    readonly kind: "syslog";
    /** The facility's number, 0 to 23. */
    readonly facility: number;
    /** The ident; without one, the program's base name. */
    readonly ident?: string;
  }
  | {
    /** The log service of a master. */
    readonly kind: "masterlog";
    /** The path of its datagram socket. */
    readonly socket: string;
  }
  | {
    /** The standard output. */
    readonly kind: "stdout";
  };

/** The settings of the master's log service. */
export interface LogServiceConfig {
  /** The path of the datagram socket that it binds. */
  readonly socket: string;
  /** The start of each log file's path; a directory needs its trailing `/`. */
  readonly prefix: string;
  /** The period of one file. */
  readonly period: "day" | "hour";
}

/** The form of a `server-log`. */
export const LOG_TARGET_FORM = "syslog,FACILITY[,IDENT] or masterlog,SOCKET or stdout";

/** The form of a `log-service`. */
export const LOG_SERVICE_FORM = "SOCKET,PREFIX,day or SOCKET,PREFIX,hour";

/**
 * Reads a `server-log`: `syslog,FACILITY[,IDENT]`, `masterlog,SOCKET` or `stdout`. Commas, spaces and
 * tabs part the words. The facility's name may begin with `LOG_`, and capitals don't matter.
 *
 * @param text The value.
 * @returns Where the lines go.
 * @throws {TypeError} When it isn't one of the forms.
 * @throws {RangeError} When the socket's path is too long.
 */
export function parseLogTarget(text: string): LogTarget {
  const words = text.split(/[, \t]+/).filter((word) => word !== "");
  const [kind, first, second] = words;
  if (kind === "stdout" && words.length === 1) return { kind };
  if (kind === "masterlog" && words.length === 2) {
    return { kind, socket: checkSocket(text, first) };
  }
  if (kind === "syslog" && (words.length === 2 || words.length === 3)) {
    const facility = SYSLOG_FACILITIES.get(first.toLowerCase().replace(/^log_/, ""));
    if (facility === undefined) {
      throw refuse(
        text,
        "an unknown facility",
        `one of ${[...SYSLOG_FACILITIES.keys()].join(" ")}`,
      );
    }
    return second === undefined ? { kind, facility } : { kind, facility, ident: second };
  }
  throw refuse(text, "none of the forms", LOG_TARGET_FORM);
}

/**
 * Reads a `log-service`: `SOCKET,PREFIX,day` or `SOCKET,PREFIX,hour`. As in LIB-ZC the last part may be
 * missing and is then `day`.
 *
 * @param text The value.
 * @returns Its parts.
 * @throws {TypeError} When it isn't of that form.
 * @throws {RangeError} When the socket's path is too long.
 */
export function parseLogService(text: string): LogServiceConfig {
  const words = text.split(",").filter((word) => word !== "");
  const [socket, prefix, period = "day"] = words;
  if (words.length < 2 || words.length > 3 || (period !== "day" && period !== "hour")) {
    throw refuse(text, "none of the forms", LOG_SERVICE_FORM);
  }
  return { socket: checkSocket(text, socket), prefix, period };
}

function refuse(text: string, found: string, expected: string): TypeError {
  return new TypeError(cannot("read", text, { found, expected }));
}

function checkSocket(text: string, socket: string): string {
  const bytes = encodeText(socket).length;
  if (bytes <= UNIX_PATH_MAX) return socket;
  throw new RangeError(cannot("read", text, {
    found: `a socket path of ${bytes} bytes`,
    expected: `at most ${UNIX_PATH_MAX} bytes`,
  }));
}

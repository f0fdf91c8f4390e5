/**
 * The log calls of a server program, `zinfo`, `zwarn`, `zerror`, `zdebug` and `zfatal`, and their destination
 * (LIB-ZC section 6). Each line passes through `@std/log`: {@link file://./std_adapter.ts}.
 *
 * A log call never blocks, and no state of the log makes it throw; {@link file://./spool.ts} handles lines that
 * the destination does not accept.
 *
 * @module
 */
import type { LogFormat } from "../config/log_form.ts";
import { type LogTarget, parseLogTarget } from "../config/log_target.ts";
import { readable } from "../os/ffi/byte_text.ts";
import { type Backend, type BackendPorts, type BackendTarget, openBackend } from "./backends.ts";
import { type Callee, callerOf } from "./caller.ts";
import { bodyOf, datagramParts, droppedText } from "./lines.ts";
import { closeOutputs, configureOutputs, tellStderr } from "./outputs.ts";
import {
  type LogLevel,
  type LogMessage,
  type LogRecord,
  type LogSource,
  recordOf,
} from "./record.ts";
import { throughStdLog } from "./std_adapter.ts";
import { exportLine } from "./telemetry.ts";

/** The time limit for a full log at the end of a process. */
const CLOSE_WAIT_MS = 200;

/** The log settings of a process. */
export interface LogOptions extends BackendPorts {
  /** The program's name; its base name is the ident of each line. */
  readonly program: string;
  /** The process that the lines name; the default is this one. */
  readonly pid?: number;
  /** The least important lines that are written; the default is `info`. */
  readonly level?: LogLevel;
  /** The form of lines on a standard output; the default is `auto`. */
  readonly format?: LogFormat;
  /** A `server-log`, as text or parsed; without one (or an empty one), stderr. */
  readonly target?: LogTarget | string;
}

/** An open destination. */
type OpenBackend = Backend & Pick<BackendTarget, "kind">;

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

let threshold: LogLevel = "info";
/** No name, until {@linkcode configureLog} is called. */
let source: LogSource = { ident: "", pid: Deno.pid };
let backend: OpenBackend | undefined;
let onOwnRecord: ((record: LogRecord) => void) | undefined;
const writeRecord = throughStdLog((record) => {
  const { spool, encode } = current();
  spool.push(encode(record));
});

/**
 * Configures the log of this process. Before this call, and after {@linkcode closeLog}, lines go to stderr.
 *
 * `syslog` and `masterlog` need `--allow-ffi`.
 *
 * @param options The settings.
 * @throws {TypeError} When `target` has none of the forms.
 * @throws {RangeError} When the socket's path is too long.
 *
 * @example
 * ```ts
 * import { configureLog, zinfo } from "./log.ts";
 *
 * configureLog({ program: "imapd", target: "stdout" });
 * zinfo("listening on port", 143); // 2026-11-29T01:29:40.123+08:00 info imapd[4711] listening on port 143
 * ```
 */
export function configureLog(options: LogOptions): void {
  const { program, pid = Deno.pid, level = "info", format = "auto", target } = options;
  const parsed = typeof target === "string" && target !== "" ? parseLogTarget(target) : target;
  closeBackend();
  source = { ident: program.slice(program.lastIndexOf("/") + 1), pid };
  threshold = level;
  configureOutputs({ source, format });
  backend = open(parsed || { kind: "stderr" }, options);
}

/**
 * Whether {@linkcode zdebug} prints.
 *
 * @returns The answer.
 */
export function isDebugLog(): boolean {
  return threshold === "debug";
}

/**
 * Logs a line: the message, and the further arguments as `console.log` writes them (`zinfo` of LIB-ZC). With
 * `log-level = debug` the caller's file and line follow.
 *
 * @param message The message. `%` has no special meaning in it.
 * @param args The values to append, each after a space; errors with their stack.
 */
export function zinfo(message: string, ...args: unknown[]): void {
  logFrom("info", zinfo, message, ...args);
}

/**
 * Logs a line as {@linkcode zinfo} does, at the level `warn`: something is not as it should be, and the program
 * goes on as well as before. A line in a log without levels begins with `warning: `.
 *
 * @param message The message.
 * @param args The values to append.
 *
 * @example
 * ```ts
 * import { zwarn } from "@zc/master";
 *
 * zwarn("the certificate ends in", 3, "days");
 * ```
 */
export function zwarn(message: string, ...args: unknown[]): void {
  logFrom("warn", zwarn, message, ...args);
}

/**
 * Logs a line as {@linkcode zinfo} does, at the level `error`: something has failed. A line in a log without
 * levels begins with `error: `.
 *
 * @param message The message.
 * @param args The values to append.
 *
 * @example
 * ```ts
 * import { zerror } from "@zc/master";
 *
 * try {
 *   JSON.parse("{");
 * } catch (error) {
 *   zerror("Cannot read the request:", error); // with the stack of the error
 * }
 * ```
 */
export function zerror(message: string, ...args: unknown[]): void {
  logFrom("error", zerror, message, ...args);
}

/**
 * Logs a line as {@linkcode zinfo} does, if debug logging is on; otherwise it costs next to nothing (`zdebug` of
 * LIB-ZC).
 *
 * @param message The message.
 * @param args The values to append.
 */
export function zdebug(message: string, ...args: unknown[]): void {
  logFrom("debug", zdebug, message, ...args);
}

/**
 * Logs a line at the level `error`, also on stderr, and ends the process with exit code 1 (`zfatal` of LIB-ZC).
 * Pending lines get 200 ms.
 *
 * @param message The message.
 * @param args The values to append.
 */
export function zfatal(message: string, ...args: unknown[]): never {
  writeEnd(messageOf("error", zfatal, message, args));
  closeLog();
  Deno.exit(1);
}

/**
 * Logs a line, at debug level with the position of a function's caller: for code that logs mistakes of its
 * caller.
 *
 * @param level The level.
 * @param callee The function whose caller the line names.
 * @param message The message.
 * @param args The values to append.
 *
 * @example
 * ```ts
 * import { logFrom } from "./log.ts";
 *
 * function deprecated(name: string): void {
 *   logFrom("warn", deprecated, `${name} is deprecated`); // names the line that called deprecated()
 * }
 * ```
 */
export function logFrom(
  level: LogLevel,
  callee: Callee,
  message: string,
  ...args: unknown[]
): void {
  if (isWritten(level)) write(messageOf(level, callee, message, args));
}

/**
 * Logs a line without a position.
 *
 * @param level The level.
 * @param message The message.
 * @param args The values to append.
 */
export function logLine(level: LogLevel, message: string, ...args: unknown[]): void {
  if (isWritten(level)) write(messageOf(level, undefined, message, args));
}

/**
 * Logs an important line for the person who has started this program, such as the reason of its end: without
 * a position, and also on stderr, since the log may be the problem.
 *
 * @param text The whole line.
 * @param level Its level.
 */
export function logEnd(text: string, level: LogLevel = "error"): void {
  if (isWritten(level)) writeEnd({ level, text: readable(text) });
}

/**
 * Writes records of another program to this process's log, with each record's own time, level, ident and pid: for
 * the master, which captures the output of its servers. They are written at any level, not exported, and do not
 * pass through `@std/log`, since all that is decided where a record comes from.
 *
 * @param records The records.
 */
export function logRecords(records: readonly LogRecord[]): void {
  const { spool, encode, kind } = current();
  if (kind === "stdout" || kind === "stderr") spool.pushJoined(records.map(encode));
  else for (const record of records.flatMap(datagramParts)) spool.push(encode(record));
}

/**
 * Has a function called with each record of this process itself, as it is written: for the master, which shows
 * its last lines to operators.
 *
 * @param listener Receives the records; undefined for none. It must not log.
 */
export function tapLog(listener: ((record: LogRecord) => void) | undefined): void {
  onOwnRecord = listener;
}

/**
 * Waits, without blocking, until each line so far was sent or dropped: for the master, which receives its own
 * lines in the same process.
 *
 * @param timeoutMs The time limit.
 * @returns Settles then; never rejects.
 */
export async function flushLog(timeoutMs = 1_000): Promise<void> {
  await backend?.spool.idle(timeoutMs);
}

/**
 * Sends pending lines, with 200 ms at most for each full destination, and closes the log. Later lines go to
 * stderr.
 */
export function closeLog(): void {
  closeBackend();
  closeOutputs(CLOSE_WAIT_MS);
}

/** The standard outputs are not only the log's, and stay open. */
function closeBackend(): void {
  const closing = backend;
  backend = undefined;
  if (closing === undefined || ["stdout", "stderr"].includes(closing.kind)) return;
  const dropped = closing.spool.close(CLOSE_WAIT_MS);
  if (dropped > 0) {
    tellStderr(recordOf(source, { level: "warn", text: droppedText(dropped) }));
  }
}

function open(target: BackendTarget, ports?: BackendPorts): OpenBackend {
  return { ...openBackend(target, source, ports), kind: target.kind };
}

function current(): OpenBackend {
  return backend ??= open({ kind: "stderr" });
}

function isWritten(level: LogLevel): boolean {
  return RANKS[level] >= RANKS[threshold];
}

function write(message: LogMessage): void {
  const record = recordOf(current().source, message);
  writeRecord(record);
  onOwnRecord?.(record);
  exportLine(record.level, bodyOf(record));
}

function writeEnd(message: LogMessage): void {
  write(message);
  if (backend?.kind !== "stderr") tellStderr(recordOf(source, message));
}

function messageOf(
  level: LogLevel,
  callee: Callee | undefined,
  message: string,
  args: readonly unknown[],
): LogMessage {
  const text = readable([message, ...args.map(show)].join(" "));
  // A capture of the stack takes longer than the rest of a line.
  const position = callee !== undefined && isDebugLog() ? callerOf(callee) : undefined;
  return { level, text, position };
}

function show(value: unknown): string {
  if (typeof value === "string" || typeof value === "number") return String(value);
  try {
    return Deno.inspect(value, { colors: false });
  } catch {
    // It is shown by a function of its own, which throws. The log of an error must not be another one.
    return "[a value that can't be shown]";
  }
}

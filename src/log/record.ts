/**
 * A log record: one message with its time, level and origin, before it is written in the form of its
 * destination.
 *
 * @module
 */
import type { LogLevel } from "../config/log_form.ts";

export type { LogLevel };

/** A message, and where it comes from. */
export interface LogRecord {
  /** Its time, in milliseconds since 1970. */
  readonly timeMs: number;
  readonly level: LogLevel;
  /** The program's base name, or a service; empty for a record without ident and pid. */
  readonly ident: string;
  readonly pid: number;
  /** One line or several. */
  readonly text: string;
  /** File and line of the log call, such as `server.ts:12`. */
  readonly position?: string;
  /** The id of the service, in records that the master has made of a server's output. */
  readonly service?: string;
  /** The output that the master has read the text from. */
  readonly stream?: "stdout" | "stderr";
}

/** A record that is kept, with a key that no other one has, also of other masters. */
export interface KeptRecord extends LogRecord {
  readonly key: string;
}

/**
 * Whether a record belongs to a service: its output, or a line of the master about it, which begins with its id.
 *
 * @param record The record.
 * @param id The service.
 */
export function isAbout(
  { service, text }: { readonly service?: string | null; readonly text: string },
  id: string,
): boolean {
  return (service ?? null) === null ? text.startsWith(`${id}: `) : service === id;
}

/** Encodes a record in the form of one destination. */
export type RecordEncoder = (record: LogRecord) => Uint8Array<ArrayBuffer>;

/** The program and process that make records. */
export type LogSource = Pick<LogRecord, "ident" | "pid">;

/** The parts of a record that its call gives. */
export type LogMessage = Pick<LogRecord, "level" | "text" | "position">;

/** Makes a record of this moment. */
export function recordOf({ ident, pid }: LogSource, message: LogMessage): LogRecord {
  return { timeMs: Date.now(), ident, pid, ...message };
}

/**
 * The forms of log lines as LIB-ZC and syslog(3) write them, and the parts of all forms.
 *
 * @module
 */
import type { LogLevel, LogRecord, LogSource, RecordEncoder } from "./record.ts";

/** The longest record that is sent, in bytes; LIB-ZC's service reads no more of one. */
export const RECORD_BYTES_MAX = 10_240;

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** The severities of syslog(3), and the priorities of sd-daemon(3). */
export const SEVERITIES: Readonly<Record<LogLevel, number>> = {
  error: 3,
  warn: 4,
  info: 6,
  debug: 7,
};
/** The words for the levels in lines that have no other place for them. */
const LEVEL_WORDS: Readonly<Record<LogLevel, string>> = {
  error: "error: ",
  warn: "warning: ",
  info: "",
  debug: "",
};

const encoder = new TextEncoder(), decoder = new TextDecoder();

/**
 * Datagrams for a log service: `IDENT,PID,TEXT`, cut to {@linkcode RECORD_BYTES_MAX}. They have no level, so
 * that the text of a warning begins with `warning: `, and that of an error with `error: `. A comma in the ident
 * would end it, so it becomes `_`.
 */
export function masterlogRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  const { ident, pid, level } = record;
  const head = `${ident.replaceAll(",", "_")},${pid},${LEVEL_WORDS[level]}`;
  return cutUtf8(encoder.encode(head + oneLine(bodyOf(record))), RECORD_BYTES_MAX);
}

/**
 * Datagrams for the system's log: `<PRI>Mmm dd hh:mm:ss IDENT[PID]: TEXT` (RFC 3164, section 4.1, as
 * syslog(3) writes it: without the host's name), cut to {@linkcode RECORD_BYTES_MAX}.
 *
 * @param facility Its number.
 */
export function syslogRecords(facility: number): RecordEncoder {
  const stamp = perSecond((date) => {
    const day = `${date.getDate()}`.padStart(2);
    return `${MONTHS[date.getMonth()]} ${day} ${timeOfDay(date)}`;
  });
  return (record) => {
    const { timeMs, level, ident, pid } = record;
    const head = `<${facility * 8 + SEVERITIES[level]}>${stamp(timeMs)} ${ident}[${pid}]: `;
    return cutUtf8(encoder.encode(head + oneLine(bodyOf(record))), RECORD_BYTES_MAX);
  };
}

/** What precedes the text of a record: `IDENT[PID] `, or nothing. */
export function originOf({ ident, pid }: LogSource): string {
  return ident === "" ? "" : `${ident}[${pid}] `;
}

/** The text of a record with the position of its call, for a form that has no other place for it. */
export function bodyOf({ text, position }: LogRecord): string {
  return position === undefined ? text : `${text} [${position}]`;
}

/** The most characters of a text that fits into a datagram in any case, beside the longest head. */
const PART_MAX = (RECORD_BYTES_MAX - 1_024) / 3;

/** Parts a record that is too long for a datagram, between its lines where they are short enough. */
export function datagramParts(record: LogRecord): readonly LogRecord[] {
  const { text } = record;
  if (text.length <= PART_MAX) return [record];
  const parts: string[] = [];
  for (const line of text.split("\n")) {
    for (let at = 0; at === 0 || at < line.length; at += PART_MAX) {
      const piece = line.slice(at, at + PART_MAX), last = parts.at(-1);
      if (at === 0 && last !== undefined && last.length + piece.length < PART_MAX) {
        parts[parts.length - 1] = `${last}\n${piece}`;
      } else parts.push(piece);
    }
  }
  return parts.map((text) => ({ ...record, text }));
}

/** The text of a line that reports dropped lines, such as `3 log lines dropped`. */
export function droppedText(count: number): string {
  return `${count} log line${count === 1 ? "" : "s"} dropped`;
}

/** No report of dropped lines is longer, whatever its sender is called. */
const REPORT_BYTES_MAX = 200;

/** What ends a report of dropped lines. A count that no process reaches is no report. */
const REPORT = /(?:^|[ ,])(\d{1,9}) log lines? dropped$/;
const REPORT_END = "d".charCodeAt(0);

/** The number of lines that a line stands for: those that it reports as dropped, else itself. */
export function linesReportedBy(line: Uint8Array<ArrayBuffer>): number {
  // Most lines are none, and need no decoding.
  if (line.length > REPORT_BYTES_MAX || line.at(-1) !== REPORT_END) return 1;
  return Number(REPORT.exec(decoder.decode(line))?.[1] ?? 1);
}

/** Formats a local time as `HH:MM:SS`. */
export function timeOfDay(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
}

/** Formats a local day as `YYYYMMDD` or an hour as `YYYYMMDDHH`. */
export function periodName(date: Date, period: "day" | "hour"): string {
  return dateOf(date, "") + (period === "hour" ? twoDigits(date.getHours()) : "");
}

/** Formats a local day, with a separator between year, month and day. */
export function dateOf(date: Date, separator: string): string {
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join(separator);
}

/**
 * Caches a value that depends on the time of day, for one second.
 *
 * @param make Computes the value from the local time.
 * @returns Returns the value for a time in milliseconds since 1970.
 */
export function perSecond<T>(make: (date: Date) => T): (timeMs: number) => T {
  let second = NaN;
  let made: T;
  return (timeMs) => {
    const current = Math.floor(timeMs / 1_000);
    if (current !== second) {
      made = make(new Date(timeMs));
      second = current;
    }
    return made;
  };
}

/** Writes a number with two digits at least. */
export function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** Any control character but the tab, including those beyond ASCII, which terminals obey as well. */
// deno-lint-ignore no-control-regex
export const CONTROLS = /[\0-\x08\n-\x1f\x7f-\x9f]/g;

/**
 * Makes one line of a record: a line break, with the white space around it, becomes one space, and any other
 * control character but the tab a space. (C sends them unchanged, so a text from outside can forge lines and
 * control terminals; a NUL ends the record in C's service.)
 */
function oneLine(text: string): string {
  if (text.search(CONTROLS) < 0) return text;
  return joinLines(text.trimEnd(), " ").replace(CONTROLS, " ");
}

/**
 * Puts a separator in the place of each line break, with the white space and further line breaks around it. It
 * takes linear time: a pattern for white space before a line break would be tried at each blank of a run.
 *
 * @param text The lines.
 * @param separator The separator.
 */
export function joinLines(text: string, separator: string): string {
  const lines = text.split(/[\r\n]/), last = lines.length - 1;
  return lines.map((line, index) => {
    const begun = index === 0 ? line : line.trimStart();
    return index === last ? begun : begun.trimEnd();
  }).filter((line, index) => line !== "" || index === 0 || index === last).join(separator);
}

/** The same, but line breaks stay, with an indentation after them. */
export function indented(text: string): string {
  if (text.search(CONTROLS) < 0) return text;
  return text.split(/\r\n?|\n/).map((line, index) => {
    const plain = line.replace(CONTROLS, " ");
    // White space of other kinds may have no width, such as U+FEFF.
    return index === 0 || /^[ \t]|^$/.test(plain) ? plain : `    ${plain}`;
  }).join("\n");
}

/** Whether a byte is a further one of a UTF-8 character of several bytes: 10xxxxxx. */
export function isFurtherByte(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

function cutUtf8(bytes: Uint8Array<ArrayBuffer>, limit: number): Uint8Array<ArrayBuffer> {
  if (bytes.length <= limit) return bytes;
  let end = limit;
  while (isFurtherByte(bytes[end])) end--;
  return bytes.subarray(0, end);
}

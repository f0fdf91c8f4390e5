/**
 * The formats of log lines for each destination (LIB-ZC section 6), as text and bytes.
 *
 * @module
 */

/** The longest record that is sent, in bytes; LIB-ZC's service reads no more of one. */
export const RECORD_BYTES_MAX = 10_240;

/** The parts of a line that are the same for the whole process. */
export interface LogSource {
  /** The program's base name, or a replacement; empty for lines without ident and pid. */
  readonly ident: string;
  /** The process id. */
  readonly pid: number;
}

/** Encodes the text of a record. */
export type LineEncoder = (text: string) => Uint8Array<ArrayBuffer>;

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** LOG_INFO of syslog(3), the one level that LIB-ZC knows. */
const SEVERITY_INFO = 6;

const encoder = new TextEncoder(), decoder = new TextDecoder();

/**
 * Lines for a terminal or a file: `IDENT[PID] TEXT`. Line breaks in the text stay, so that a stack trace is
 * readable, but continuation lines are indented: no text can imitate another line.
 */
export function outputLines({ ident, pid }: LogSource): LineEncoder {
  const head = ident === "" ? "" : `${ident}[${pid}] `;
  return (text) => encoder.encode(`${head}${indented(text)}\n`);
}

/**
 * Datagrams for a log service: `IDENT,PID,TEXT`, cut to {@linkcode RECORD_BYTES_MAX}. A comma in the ident
 * would end it, so it becomes `_`.
 */
export function masterlogRecords({ ident, pid }: LogSource): LineEncoder {
  const head = `${ident.replaceAll(",", "_")},${pid},`;
  return (text) => cutUtf8(encoder.encode(head + oneLine(text)), RECORD_BYTES_MAX);
}

/**
 * Datagrams for the system's log: `<PRI>Mmm dd hh:mm:ss IDENT[PID]: TEXT` (RFC 3164, section 4.1, as
 * syslog(3) writes it: without the host's name), cut to {@linkcode RECORD_BYTES_MAX}.
 *
 * @param source The program's name and pid.
 * @param options `facility`: its number; `now`: the time in milliseconds since 1970.
 */
export function syslogRecords(
  { ident, pid }: LogSource,
  { facility, now }: { readonly facility: number; readonly now: () => number },
): LineEncoder {
  const stamp = perSecond(now, (date) => {
    const day = `${date.getDate()}`.padStart(2);
    return `<${facility * 8 + SEVERITY_INFO}>${MONTHS[date.getMonth()]} ${day} ${timeOfDay(date)}`;
  });
  const tail = ` ${ident}[${pid}]: `;
  return (text) => cutUtf8(encoder.encode(stamp() + tail + oneLine(text)), RECORD_BYTES_MAX);
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
  const parts = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  if (period === "hour") parts.push(date.getHours());
  return parts.map(twoDigits).join("");
}

/**
 * Caches a value that depends on the time of day, for one second.
 *
 * @param now Returns the time in milliseconds since 1970.
 * @param make Computes the value from the local time.
 * @returns Returns the value for the present second.
 */
export function perSecond<T>(now: () => number, make: (date: Date) => T): () => T {
  let second = NaN;
  let made: T;
  return () => {
    const ms = now(), current = Math.floor(ms / 1_000);
    if (current !== second) {
      made = make(new Date(ms));
      second = current;
    }
    return made;
  };
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** Any control character but the tab, including those beyond ASCII, which terminals obey as well. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\0-\x08\n-\x1f\x7f-\x9f]/g;

/**
 * Makes one line of a record: a line break, with the white space around it, becomes one space, and any other
 * control character but the tab a space. (C sends them unchanged, so a text from outside can forge lines and
 * control terminals; a NUL ends the record in C's service.)
 */
function oneLine(text: string): string {
  if (text.search(CONTROLS) < 0) return text;
  return text.trimEnd().replace(/\s*[\r\n]\s*/g, " ").replace(CONTROLS, " ");
}

/** The same, but line breaks stay, with an indentation after them. */
function indented(text: string): string {
  if (text.search(CONTROLS) < 0) return text;
  return text.split(/\r\n?|\n/).map((line, index) => {
    const plain = line.replace(CONTROLS, " ");
    return index === 0 || /^\s|^$/.test(plain) ? plain : `    ${plain}`;
  }).join("\n");
}

function cutUtf8(bytes: Uint8Array<ArrayBuffer>, limit: number): Uint8Array<ArrayBuffer> {
  if (bytes.length <= limit) return bytes;
  let end = limit;
  while ((bytes[end] & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

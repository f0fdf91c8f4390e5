/**
 * What a log line looks like in each of the places that it can go to (LIB-ZC section 6). Pure text
 * and bytes; nothing is sent from here.
 *
 * @module
 */

/** The longest record that is sent, in bytes; LIB-ZC's service reads no more of one. */
export const RECORD_BYTES_MAX = 10_240;

/** Who writes: the two parts of each line that are the same for the whole process. */
export interface LogSource {
  /** The program's base name, or what stands for it; empty to write lines without ident and pid. */
  readonly ident: string;
  /** The process. */
  readonly pid: number;
}

/** Turns the text of a record into the bytes that are sent. */
export type LineEncoder = (text: string) => Uint8Array<ArrayBuffer>;

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** LOG_INFO of syslog(3), the one level that LIB-ZC knows. */
const SEVERITY_INFO = 6;

const encoder = new TextEncoder();

/**
 * Lines for a terminal or a file: `IDENT[PID] TEXT`. Line breaks in the text stay, so that a stack
 * trace can be read.
 *
 * @param source Who writes.
 * @returns The encoder.
 */
export function outputLines({ ident, pid }: LogSource): LineEncoder {
  const head = ident === "" ? "" : `${ident}[${pid}] `;
  return (text) => encoder.encode(`${head}${text}\n`);
}

/**
 * Datagrams for a log service: `IDENT,PID,TEXT`, cut to {@linkcode RECORD_BYTES_MAX}. A comma in the
 * ident would end it, so that it becomes `_`.
 *
 * @param source Who writes.
 * @returns The encoder.
 */
export function masterlogRecords({ ident, pid }: LogSource): LineEncoder {
  const head = `${ident.replaceAll(",", "_")},${pid},`;
  return (text) => cutUtf8(encoder.encode(head + oneLine(text)), RECORD_BYTES_MAX);
}

/**
 * Datagrams for the system's log: `<PRI>Mmm dd hh:mm:ss IDENT[PID]: TEXT` (RFC 3164, section 4.1, as
 * syslog(3) writes it: without the host's name), cut to {@linkcode RECORD_BYTES_MAX}.
 *
 * @param source Who writes.
 * @param options `facility`: its number; `now`: the time in milliseconds since 1970.
 * @returns The encoder.
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

/**
 * The text of a line that owns up to lost lines.
 *
 * @param count How many.
 * @returns Such as `3 log lines dropped`.
 */
export function droppedText(count: number): string {
  return `${count} log line${count === 1 ? "" : "s"} dropped`;
}

/**
 * A time as `HH:MM:SS`, local.
 *
 * @param date The time.
 * @returns The text.
 */
export function timeOfDay(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
}

/**
 * A day as `YYYYMMDD` or an hour as `YYYYMMDDHH`, local.
 *
 * @param date The time.
 * @param period Which.
 * @returns The text.
 */
export function periodName(date: Date, period: "day" | "hour"): string {
  const parts = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  if (period === "hour") parts.push(date.getHours());
  return parts.map(twoDigits).join("");
}

/**
 * Something made of the time of day, made anew only when the second changes.
 *
 * @param now The time in milliseconds since 1970.
 * @param make Makes it of the local time.
 * @returns Gives it for the present second.
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

/**
 * One record is one line: a line break, with the white space around it, becomes one space, and any
 * other control character but the tab a space. (C sends them as they are, which lets a text that came
 * from outside forge lines and steer terminals; a NUL would end the record in C's service.)
 */
function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  if (!/[\0-\x08\n-\x1f\x7f]/.test(text)) return text;
  // deno-lint-ignore no-control-regex
  return text.trimEnd().replace(/\s*[\r\n]\s*/g, " ").replace(/[\0-\x08\n-\x1f\x7f]/g, " ");
}

function cutUtf8(bytes: Uint8Array<ArrayBuffer>, limit: number): Uint8Array<ArrayBuffer> {
  if (bytes.length <= limit) return bytes;
  let end = limit;
  while ((bytes[end] & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

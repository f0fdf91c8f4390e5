/**
 * The forms of log lines on a standard output (docs/design/27_log_lines.md).
 *
 * Line breaks in a text stay, so that a stack trace is readable, but continuation lines are indented: no text
 * can imitate another line.
 *
 * @module
 */
import {
  bodyOf,
  CONTROLS,
  dateOf,
  indented,
  originOf,
  perSecond,
  SEVERITIES,
  timeOfDay,
  twoDigits,
} from "./lines.ts";
import type { LogLevel, LogRecord } from "./record.ts";

/** Severities of OpenTelemetry: the first of the four numbers of each level. */
const OTEL_SEVERITIES: Readonly<Record<LogLevel, readonly [text: string, number: number]>> = {
  debug: ["DEBUG", 5],
  info: ["INFO", 9],
  warn: ["WARN", 13],
  error: ["ERROR", 17],
};

const DIM = "\x1b[2m", YELLOW = "\x1b[33m", RED = "\x1b[31m", RESET = "\x1b[0m";

const encoder = new TextEncoder();

/** The parts of a time that stay for a second: `2026-11-29T01:29:40` and `+08:00`. */
const present = perSecond((date) => ({
  second: `${dateOf(date, "-")}T${timeOfDay(date)}`,
  zone: zoneOf(date),
}));
const presentTimeOfDay = perSecond(timeOfDay);

/** `2026-11-29T01:29:40.123+08:00 info imapd[4711] TEXT` (RFC 3339): for files and pipes. */
export function textRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  if (record.ident === "") return bareRecord(record);
  const { timeMs, level } = record;
  return encoder.encode(
    `${timestamp(timeMs)} ${level} ${originOf(record)}${indented(bodyOf(record))}\n`,
  );
}

/** `01:29:40 imapd[4711] TEXT`, with the level behind the time if it is warn or error: for terminals. */
export function plainTerminalRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  if (record.ident === "") return bareRecord(record);
  const { timeMs, level } = record;
  const word = level === "warn" || level === "error" ? `${level} ` : "";
  return encoder.encode(
    `${presentTimeOfDay(timeMs)} ${word}${originOf(record)}${indented(bodyOf(record))}\n`,
  );
}

/** The same in colours: the time is dim, and so is all of a debug line; the level is yellow or red. */
export function terminalRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  if (record.ident === "") return bareRecord(record);
  const { timeMs, level } = record;
  const time = presentTimeOfDay(timeMs);
  const text = `${originOf(record)}${indented(bodyOf(record))}`;
  if (level === "debug") return encoder.encode(`${DIM}${time} ${text}${RESET}\n`);
  const colour = level === "error" ? RED : YELLOW;
  const word = level === "info" ? "" : `${colour}${level}${RESET} `;
  return encoder.encode(`${DIM}${time}${RESET} ${word}${text}\n`);
}

/**
 * `TEXT`, after a word if it is a warning: for the person who has started a program that has no log yet, beside
 * the reason why it does not start.
 */
function bareRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  const word = record.level === "warn" ? "warning: " : "";
  return encoder.encode(`${word}${indented(bodyOf(record))}\n`);
}

/**
 * `<6>imapd[4711] TEXT` (sd-daemon(3)), with the priority before each line of the text: for the journal, which
 * has the time itself and makes an entry of each line.
 */
export function journalRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  const prefix = `<${SEVERITIES[record.level]}>`;
  const text = indented(bodyOf(record)).replaceAll("\n", `\n${prefix}`);
  return encoder.encode(`${prefix}${originOf(record)}${text}\n`);
}

/**
 * `<6>TEXT`, with further lines indented and without a prefix: for a master that captures this output, and adds
 * time, ident and pid itself.
 */
export function capturedRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  return encoder.encode(`<${SEVERITIES[record.level]}>${indented(bodyOf(record))}\n`);
}

/**
 * What a server writes before the message of the runtime about the error that ends it, so that a
 * master that reads the output knows it from a line of the program. It shows nothing anywhere else:
 * a server does not know so early who reads.
 */
export const UNCAUGHT_MARK = "\x1b[m";

/**
 * How the line begins that says what to write where a server lacks a permission. The server mostly writes it before its
 * log is open, and so without a level: its reader knows the line by this.
 */
export const PERMISSION_ADVICE = "Cannot go on without --allow-";

/** One JSON object a line, with the field names of OpenTelemetry's log data model. */
export function jsonRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  const { timeMs, level, ident, pid, text, position, service, stream } = record;
  const [severityText, severityNumber] = OTEL_SEVERITIES[level];
  const [file, line] = position?.split(/:(?=\d+$)/) ?? [];
  const json = jsonText({
    Timestamp: timestamp(timeMs),
    SeverityText: severityText,
    SeverityNumber: severityNumber,
    Body: text,
    Resource: {
      "service.name": ident === "" ? undefined : ident,
      // As in what the server exports itself.
      "zc.service": service,
      "process.pid": pid,
    },
    Attributes: stream === undefined && position === undefined ? undefined : {
      "log.iostream": stream,
      "code.file.path": file,
      "code.line.number": line === undefined ? undefined : Number(line),
    },
  });
  return encoder.encode(`${json}\n`);
}

/** A value as JSON without control characters: JSON.stringify() escapes those below the space, and a terminal obeys others, too. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(CONTROLS, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function timestamp(timeMs: number): string {
  const { second, zone } = present(timeMs);
  const ms = Math.floor(timeMs) - Math.floor(timeMs / 1_000) * 1_000;
  return `${second}.${String(ms).padStart(3, "0")}${zone}`;
}

/** The difference of the local time from UTC, such as `+08:00`. */
function zoneOf(date: Date): string {
  const minutes = -date.getTimezoneOffset(), size = Math.abs(minutes);
  const parts = [Math.floor(size / 60), size % 60].map(twoDigits);
  return `${minutes < 0 ? "-" : "+"}${parts.join(":")}`;
}

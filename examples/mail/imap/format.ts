/**
 * Values in the answers of IMAP (RFC 3501, 9).
 *
 * @module
 */

/** A text as a quoted string, or as a literal where it can't be quoted. */
export function stringOf(text: string): string {
  return /^[\x20-\x7e]{0,500}$/.test(text)
    ? `"${text.replaceAll(/["\\]/g, "\\$&")}"`
    : `{${text.length}}\r\n${text}`;
}

/** A text as a string, or NIL where there is none. */
export function nilOrString(text: string | undefined): string {
  return text === undefined ? "NIL" : stringOf(text);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A time as INTERNALDATE has it. */
export function internalDate(date: Date): string {
  const day = String(date.getUTCDate()).padStart(2);
  const time = date.toISOString().slice(11, 19);
  return `"${day}-${MONTHS[date.getUTCMonth()]}-${date.getUTCFullYear()} ${time} +0000"`;
}

/**
 * Reads a date such as `31-Jan-2026`, with or without a time and a zone behind it.
 *
 * @returns The time; undefined when it is of another form.
 */
export function readDate(text: string): Date | undefined {
  const form =
    /^ ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})(?: ([0-9:]{8}) ([+-][0-9]{2})([0-9]{2}))?$/;
  const [, day, month, year, time = "00:00:00", hours = "+00", minutes = "00"] = form.exec(text) ??
    [];
  const number = MONTHS.findIndex((name) => name.toLowerCase() === month?.toLowerCase()) + 1;
  if (number === 0) return undefined;
  const [mm, dd] = [number, day].map((part) => String(part).padStart(2, "0"));
  const date = new Date(`${year}-${mm}-${dd}T${time}${hours}:${minutes}`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** The day in the field Date of a message, whatever its zone; an invalid date when it has none. */
export function sentDay(field: string): Date {
  const [day] = field.split(/[0-9:]{5,8}/, 1);
  return new Date(`${day} 00:00:00 +0000`);
}

/** The names of flags, by their letters in file names. */
const FLAG_NAMES: Readonly<Record<string, string>> = {
  D: "\\Draft",
  F: "\\Flagged",
  R: "\\Answered",
  S: "\\Seen",
  T: "\\Deleted",
};

/** All flags that can be stored. */
export const ALL_FLAGS: string = Object.values(FLAG_NAMES).join(" ");

/** Flags as a list. */
export function flagList(letters: string, isRecent: boolean): string {
  const names = [...letters].map((letter) => FLAG_NAMES[letter]);
  return `(${[...names, ...isRecent ? ["\\Recent"] : []].join(" ")})`;
}

/** The letters of the flags among some names; others are not stored. */
export function lettersOf(names: readonly string[]): string {
  const wanted = names.map((name) => name.toLowerCase());
  return Object.entries(FLAG_NAMES).filter(([, name]) => wanted.includes(name.toLowerCase()))
    .map(([letter]) => letter).join("");
}

/**
 * The parser of LIB-ZC's settings files, `*.cf` and `*.gcf`: text to entries with file and line.
 *
 * It knows no setting by name and changes no value: no quotes, no escapes, no sections, no comment after a
 * value. Its time is linear in the size of the text.
 *
 * @module
 */

import { decodeBytes, readable } from "../os/ffi/byte_text.ts";
import { EFBIG, EINVAL, EISDIR, SysError } from "../os/ffi/errors.ts";
import { lstatPath } from "../os/fs/path.ts";
import { readRegularFile, type RegularFileOptions } from "../os/fs/regular_file.ts";
import { cannot, ConfigError } from "./errors.ts";

/** One `key = value` line of a settings file. */
export interface CfEntry {
  /** The text before the first `=`, trimmed. It may be empty (`= x`). */
  readonly key: string;
  /** The text after the first `=`, trimmed; empty where the line has no `=`. */
  readonly value: string;
  /** The file's path as it was given. */
  readonly file: string;
  /** The line, counted from 1. */
  readonly line: number;
  /**
   * The value with its original bytes, if they are not UTF-8: each is one code unit, U+DC00 + byte. `value` has
   * them decoded as GB18030.
   */
  readonly raw?: string;
}

/** The most bytes of a settings file: ten thousands of services. */
const MOST_BYTES = 16 << 20;

const SPACE = 0x20;
const DELETE = 0x7f;

/**
 * LIB-ZC trims what isspace(3) or iscntrl(3) accepts in the C locale: every ASCII control character
 * and the space. Unicode's wider white space is ordinary text, so `String.prototype.trim` won't do.
 */
function isTrimmed(code: number): boolean {
  return code <= SPACE || code === DELETE;
}

/** Removes ASCII white space and control characters from both ends of a text. */
export function trimAscii(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isTrimmed(text.charCodeAt(start))) start++;
  while (end > start && isTrimmed(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/**
 * Reads the text of a settings file.
 *
 * Lines end at `\n`; a `\r` before it is white space like any other. Blank lines, and lines whose
 * first character that isn't white space is `#`, give no entry. A NUL ends its line's text, because
 * C reads each line as a string. A byte order mark is part of the first key, as it is in C.
 *
 * @param text The file's text.
 * @param file The file's name, repeated in each entry.
 * @param first The number of the text's first line, for a text that is a part of a file.
 * @returns The entries in the order of the lines; a key that is repeated is there each time.
 *
 * @example
 * ```ts
 * import { parseCf } from "./cf.ts";
 *
 * const [entry] = parseCf("# mail\nserver-service = imapd://0:143, 0:993\n", "imapd.cf");
 * console.assert(entry.value === "imapd://0:143, 0:993" && entry.line === 2);
 * ```
 */
export function parseCf(text: string, file: string, first = 1): CfEntry[] {
  const entries: CfEntry[] = [];
  forEachSetting(text, (written, line) => {
    const equals = written.indexOf("=");
    const [key, value] = equals < 0
      ? [written, ""]
      : [trimAscii(written.slice(0, equals)), trimAscii(written.slice(equals + 1))];
    const isPlain = written.isWellFormed();
    entries.push(
      isPlain
        ? { key, value, file, line }
        : { key: readable(key), value: readable(value), file, line, raw: value },
    );
  }, first);
  return entries;
}

/**
 * Visits the lines of a settings file that hold settings, as {@linkcode parseCf} reads them.
 *
 * @param text The file's text.
 * @param visit Called with each trimmed line and its number.
 * @param first The number of the text's first line.
 */
export function forEachSetting(
  text: string,
  visit: (written: string, line: number) => void,
  first = 1,
): void {
  for (let start = 0, line = first; start < text.length; line++) {
    let end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    // Every search stays inside this line, or the time would be quadratic in the number of lines.
    const whole = text.slice(start, end), nul = whole.indexOf("\0");
    const written = trimAscii(nul < 0 ? whole : whole.slice(0, nul));
    if (written !== "" && !written.startsWith("#")) visit(written, line);
    start = end + 1;
  }
}

/**
 * Reads a settings file and gives its text.
 *
 * A line that is not UTF-8 (a comment in an older encoding, say) stands for its bytes: see
 * `src/os/ffi/byte_text.ts`.
 *
 * Needs the permission to read the file.
 *
 * @param path The file.
 * @returns Its text.
 * @throws {ConfigError} When it can't be read, is too large, or isn't a regular file. A pipe or a device is
 * refused because reading it might never end.
 */
export function readCfText(path: string): string {
  return readSettings(path, { what: "settings file", most: MOST_BYTES });
}

/**
 * The same for a file that another user may own, such as a `server-env-file`: no link of that user is followed
 * to a file that only this process may read.
 *
 * @param path The file.
 * @param options `what`: what it is, for a message. `most`: the most bytes that it may have.
 * @returns Its text.
 * @throws {ConfigError} As {@linkcode readCfText}, and for a link of another user.
 */
export function readForeignText(
  path: string,
  options: { readonly what: string; readonly most: number },
): string {
  return readSettings(path, { ...options, trustsNoLinks: true });
}

function readSettings(
  path: string,
  { what, ...options }: { readonly what: string } & RegularFileOptions,
): string {
  try {
    return decodeBytes(readRegularFile(path, options));
  } catch (error) {
    const dead = error instanceof Deno.errors.NotFound && isLink(path);
    const found = dead ? "a link that leads nowhere" : kindIn(error) ?? systemReason(error);
    const size = isTooLarge(error) ? `at most ${options.most} bytes` : undefined;
    throw unreadable(path, { what, found, expected: size }, error);
  }
}

/**
 * Reads a settings file: {@linkcode readCfText}, then {@linkcode parseCf}.
 *
 * Needs the permission to read the file.
 *
 * @param path The file.
 * @returns Its entries.
 * @throws {ConfigError} When it can't be read or isn't a regular file.
 */
export function readCfFile(path: string): CfEntry[] {
  return parseCf(readCfText(path), path);
}

function unreadable(
  path: string,
  { what, found, expected = "a regular file that may be read" }: {
    readonly what: string;
    readonly found: string;
    readonly expected?: string;
  },
  cause: unknown,
): ConfigError {
  const message = cannot(`read ${what}`, path, { found, expected });
  return new ConfigError([{ file: path, message }], { cause });
}

/** What a file is that is not read; undefined after another error. */
function kindIn(error: unknown): string | undefined {
  if (!(error instanceof SysError)) return undefined;
  if (error.errno === EISDIR) return "a directory";
  if (error.errno === EINVAL) return "not a file";
  return isTooLarge(error) ? "too large" : error.found;
}

function isTooLarge(error: unknown): boolean {
  return error instanceof SysError && error.errno === EFBIG;
}

function isLink(path: string): boolean {
  try {
    return lstatPath(path).isSymlink;
  } catch {
    return false;
  }
}

/**
 * Describes an error of the system for a path.
 *
 * @param error The error of a `Deno` file call.
 * @returns A few words for the FOUND part of a message.
 */
export function systemReason(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file or directory";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotADirectory) return "not a directory";
  return error instanceof Error ? error.message : String(error);
}

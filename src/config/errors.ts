/**
 * Problems of settings and their texts: one {@linkcode Problem} for each mistake, with its place, and
 * {@linkcode ConfigError} for a list of them.
 *
 * @module
 */

import { readable } from "../os/ffi/byte_text.ts";

/**
 * Where a setting was written: a line of a file (counted from 1), a hook (its name as `file`, without
 * a line), or the command line.
 */
export type Origin = { readonly file: string; readonly line?: number } | "argument";

/** A line of a file, or a whole file or hook. */
export type Place = Exclude<Origin, "argument">;

/** One fault in the settings, with the place where it can be mended. */
export interface Problem {
  /** A warning stops nothing; any other problem makes a configuration unfit. */
  readonly severity?: "warning";
  /** The settings file (or the name of the hook that supplied the settings). */
  readonly file?: string;
  /** The line in that file, counted from 1. */
  readonly line?: number;
  /** The setting's name. */
  readonly key?: string;
  /** Whether the setting came from the command line. */
  readonly argument?: boolean;
  /** `Cannot ACTION "VALUE": FOUND, expected WANTED`. */
  readonly message: string;
}

/**
 * Writes a problem on one line: `conf/a.cf:3: server-proc-count: Cannot …`, or
 * `argument -pid-file: Cannot …`.
 *
 * @param problem The problem to write.
 * @returns The line, without a line end.
 *
 * @example
 * ```ts
 * import { formatProblem } from "./errors.ts";
 *
 * const line = formatProblem({ file: "a.cf", line: 3, key: "port", message: "Cannot …" });
 * console.assert(line === "a.cf:3: port: Cannot …");
 * ```
 */
export function formatProblem(problem: Problem): string {
  const { file, line, key, message } = problem;
  const parts: string[] = [];
  if (file !== undefined) parts.push(formatPlace({ file, line }));
  if (key !== undefined) parts.push(problem.argument ? `argument -${key}` : key);
  return withoutControls(readable([...parts, message].join(": ")));
}

/**
 * Escapes control characters but tab and line end: the name of a file may have any, and a terminal obeys them.
 *
 * @param text The text.
 * @returns The text with `\\u001b` in the place of an escape character.
 */
export function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (one) => "\t\n".includes(one) ? one : escapeOf(one));
}

/** A control character in the form of JSON. */
function escapeOf(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * Writes a place as `conf/a.cf:3`, or as `hook:1` where there is no line.
 *
 * @param place The file or hook, and the line.
 * @returns The place on one line.
 */
export function formatPlace(place: Place): string {
  return place.line === undefined ? place.file : `${place.file}:${place.line}`;
}

/**
 * Makes a problem out of the place where a setting was written.
 *
 * @param origin The setting's origin; `undefined` for one that the program itself has set.
 * @param rest The setting's name and the message.
 * @returns The problem.
 */
export function problemAt(
  origin: Origin | undefined,
  rest: { readonly key: string; readonly message: string },
): Problem {
  return origin === "argument" ? { argument: true, ...rest } : { ...origin, ...rest };
}

/**
 * Makes a warning out of the place where a setting was written.
 *
 * @param origin As for {@linkcode problemAt}.
 * @param rest The setting's name, where it has one, and the message.
 * @returns The warning.
 */
export function warningAt(
  origin: Origin | undefined,
  rest: { readonly key?: string; readonly message: string },
): Problem {
  return asWarning(origin === "argument" ? { argument: true, ...rest } : { ...origin, ...rest });
}

/**
 * Makes a warning out of what would be a problem elsewhere.
 *
 * @param problem The problem.
 * @returns The same as a warning.
 */
export function asWarning(problem: Problem): Problem {
  return { ...problem, severity: "warning" };
}

/**
 * Leaves out what is said twice.
 *
 * @param problems The problems.
 * @returns One problem for each text.
 */
export function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((one) => [formatProblem(one), one])).values()];
}

/**
 * Settings that can't be used. Its message lists every problem, one a line; `problems` holds them
 * one by one.
 */
export class ConfigError extends Error {
  /** The error class's name. */
  override readonly name: string = "ConfigError";
  /** Every problem that was found, in the order of the files and lines. */
  readonly problems: readonly Problem[];

  /**
   * Makes the error; its message is written here.
   *
   * @param problems The problems in any order; at least one.
   * @param options `cause`: the error of the system call, where there was one.
   */
  constructor(problems: readonly Problem[], options?: ErrorOptions) {
    const sorted = problems.toSorted(byPlace);
    super(sorted.map(formatProblem).join("\n"), options);
    this.problems = sorted;
  }
}

/** The exit code of a program that finds its settings wrong (sysexits.h). */
export const EX_CONFIG = 78;

/** Whether an error says of settings alone that they are wrong, so that another try with the same ones can't help. */
export function isOfSettings(error: unknown): boolean {
  return error instanceof ConfigError && error.problems.every(({ key }) => key !== undefined);
}

/** The command line first, then each file from its first line to its last. */
function byPlace(a: Problem, b: Problem): number {
  const [fileA, fileB] = [a.file ?? "", b.file ?? ""];
  if (fileA !== fileB) return fileA < fileB ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0);
}

/**
 * Runs a reader and gathers the problems that it throws, so that the next one can run too.
 *
 * @param problems Where the problems are added.
 * @param read The reader.
 * @returns What it returned, or `undefined` where it threw a {@linkcode ConfigError}.
 * @throws Any other error that the reader throws.
 */
export function gather<T>(problems: Problem[], read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return undefined;
  }
}

/** Longest piece of a user's text that is repeated in a message, in UTF-16 units. */
const QUOTE_LIMIT = 120;

/**
 * Quotes a user's text for a message: control characters are escaped, and a long text is cut, so
 * that a message stays one readable line whatever a file holds.
 *
 * @param value Any text.
 * @returns The text in double quotes.
 */
export function quote(value: string): string {
  const shown = readable(value);
  const text = shown.length > QUOTE_LIMIT ? `${shown.slice(0, QUOTE_LIMIT)}…` : shown;
  return quoteJson(text);
}

/**
 * Writes a value as JSON without control characters: `JSON.stringify` leaves U+007F to U+009F.
 *
 * @param value The value.
 * @param indent How many spaces further lines are indented by; one line without it.
 * @returns The text.
 */
export function quoteJson(value: unknown, indent?: number): string {
  return withoutControls(JSON.stringify(value, undefined, indent));
}

/**
 * A number with its noun.
 *
 * @param many The number.
 * @param one The noun for one.
 * @param more The noun for any other number.
 * @returns Such as `1 process` or `2 processes`.
 */
export function counted(many: number, one: string, more = `${one}s`): string {
  return `${many} ${many === 1 ? one : more}`;
}

/**
 * Words a refusal the way that every message of this project is worded.
 *
 * @param action What was tried, such as `read` or `listen on`.
 * @param value The user's text; it is quoted here.
 * @param about `found`: what the text turned out to be; `expected`: what would have been right.
 * @returns `Cannot ACTION "VALUE": FOUND, expected WANTED`.
 */
export function cannot(
  action: string,
  value: string,
  about: { readonly found: string; readonly expected: string },
): string {
  return `Cannot ${action} ${quote(value)}: ${about.found}, expected ${about.expected}`;
}

/**
 * Gives the message of an error that a parser of this layer has thrown for a bad value. Any other
 * error is a fault in the program and is thrown on.
 *
 * @param error What was caught.
 * @returns Its message.
 * @throws The same `error`, unless it is a `TypeError`, a `RangeError` or a `SyntaxError`.
 */
export function refusal(error: unknown): string {
  if (
    error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError
  ) return error.message;
  throw error;
}

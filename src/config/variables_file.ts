/**
 * The text of a `server-env-file`.
 *
 * No message shows a value, or a word that may be a part of one.
 *
 * @module
 */
import { ConfigError, type Problem, quote } from "./errors.ts";
import { nameProblem, type VariableProblem, type Variables } from "./variables.ts";

/** The most mistakes that are told. */
const MOST_PROBLEMS = 20;

/**
 * Reads the text of a file of variables in the dotenv grammar, as `deno run --env-file` does. What that would
 * pass over or cut off is a mistake here.
 *
 * @param text The text.
 * @param file Its name, for messages.
 * @returns The variables.
 * @throws {ConfigError} With each mistake, twenty at most.
 */
export async function parseVariablesFile(text: string, file: string): Promise<Variables> {
  const problems: Problem[] = [];
  const lines = new Map<string, number>();
  const add = (line: number, message: string) => problems.push({ file, line, message });
  for (const { line, name, problem } of statementsOf(text.replaceAll("\r\n", "\n"))) {
    const first = lines.get(name ?? "");
    const about = problem ?? nameProblem(name!);
    if (about !== undefined) {
      const what = about.isName ? `set variable ${quote(name!)}` : "read a variable";
      add(line, `Cannot ${what}: ${about.found}, expected ${about.expected}`);
    } else if (first !== undefined) {
      add(line, `Cannot set variable ${quote(name!)}: line ${first} sets it, expected it once`);
    } else lines.set(name!, line);
    // The owner of the file, who may be another user, must not fill the log.
    if (problems.length === MOST_PROBLEMS) break;
  }
  if (problems.length === 0) {
    // Most masters read no such file, and do without the time that this module takes to load.
    const { parseEnv } = await import("node:util");
    const variables = new Map(Object.entries(parseEnv(text) as Record<string, string>));
    const names = new Set(lines.keys());
    if (names.symmetricDifference(new Set(variables.keys())).size === 0) return variables;
    add(1, "Cannot read variables: other names than its lines have, expected lines KEY=VALUE");
  }
  throw new ConfigError(problems);
}

/** A line of a file of variables, with the further lines of its value. */
interface Statement {
  readonly line: number;
  readonly name?: string;
  readonly problem?: VariableProblem;
}

const FILE_FORM = "KEY=VALUE, or a comment that begins with #";

function* statementsOf(text: string): Generator<Statement> {
  for (let start = 0, line = 1; start < text.length;) {
    const newline = text.indexOf("\n", start), lineEnd = newline < 0 ? text.length : newline;
    const written = text.slice(start, lineEnd), equals = written.indexOf("=");
    let end = lineEnd;
    if (!/^\s*(?:#|$)/.test(written)) {
      const name = trimBlanks(written.slice(0, equals)).replace(/^export[ \t]+/, "");
      const value = equals < 0 ? undefined : valueOf(text, start + equals + 1, lineEnd);
      end = value?.end ?? lineEnd;
      yield value === undefined
        ? { line, problem: { found: 'no "=" in its line', expected: FILE_FORM } }
        : { line, name, problem: value.problem };
    }
    line += text.slice(start, end).split("\n").length;
    start = end + 1;
  }
}

/** A text without blanks at its ends. A regular expression would take quadratic time for blanks within it. */
function trimBlanks(text: string): string {
  const isBlank = (at: number) => text[at] === " " || text[at] === "\t";
  let start = 0, end = text.length;
  while (start < end && isBlank(start)) start++;
  while (end > start && isBlank(end - 1)) end--;
  return text.slice(start, end);
}

/** Where a value ends, and what is wrong with it. */
function valueOf(
  text: string,
  from: number,
  lineEnd: number,
): { readonly end: number; readonly problem?: VariableProblem } {
  const rest = text.slice(from, lineEnd), value = rest.trimStart(), [mark = ""] = value;
  if (!["'", '"', "`"].includes(mark)) return { end: lineEnd, problem: problemOfPlain(value) };
  const open = from + rest.length - value.length, close = text.indexOf(mark, open + 1);
  if (close < 0) {
    return {
      end: lineEnd,
      problem: { found: `a ${mark} that is not closed`, expected: FILE_FORM },
    };
  }
  const next = text.indexOf("\n", close), end = next < 0 ? text.length : next;
  const isAlone = /^\s*(?:#.*)?$/.test(text.slice(close + 1, end));
  const problem = !isAlone || text.slice(open, close + 1).endsWith(`\\${mark}`)
    ? {
      found: `a ${mark} within a value in such quotes`,
      expected: "other quotes (', \" or `) around it",
    }
    : problemOfBytes(text.slice(open, close));
  return { end, ...(problem && { problem }) };
}

function problemOfPlain(value: string): VariableProblem | undefined {
  return /\S#/.test(value)
    ? { found: "a # in a value without quotes", expected: "quotes around the value" }
    : problemOfBytes(value);
}

function problemOfBytes(value: string): VariableProblem | undefined {
  if (value.includes("\0")) return { found: "a NUL character in its value", expected: "text" };
  if (value.isWellFormed()) return undefined;
  return { found: "bytes that are not UTF-8 in its value", expected: "text in UTF-8" };
}

/**
 * The words of a `server-command`, split as a shell splits them. No shell is involved: nothing is
 * expanded, substituted or run here.
 *
 * @module
 */

import { cannot } from "./errors.ts";

/** The characters that a backslash escapes between double quotes (sh(1), "Double Quotes"). */
const ESCAPED_IN_DOUBLE_QUOTES = '"\\$`';

/** How a command is written. */
export const COMMAND_FORM = "a program and its arguments, quoted as in a shell";

const SINGLE = "'";
const DOUBLE = '"';

/**
 * Splits a command into its words.
 *
 * White space parts the words. Between single quotes everything is literal; between double quotes a
 * backslash makes `"`, `\`, `$` and the backquote literal and stays itself before anything else;
 * outside of quotes it makes the next character literal. `""` is an empty word.
 *
 * @param text The command as it is written in a settings file.
 * @returns Its words; none for a text of white space only.
 * @throws {SyntaxError} When a quote isn't closed, or a backslash is the last character.
 *
 * @example
 * ```ts
 * import { splitCommand } from "./command.ts";
 *
 * const words = splitCommand(`"/opt/my mail/imapd" -p '$x' a\\ b`);
 * console.assert(words.join("|") === "/opt/my mail/imapd|-p|$x|a b");
 * ```
 */
export function splitCommand(text: string): string[] {
  try {
    return splitWords(text);
  } catch (error) {
    throw error instanceof SplitError ? refuse(text, error.found) : error;
  }
}

/** A text that is no list of words; its message does not show the text. */
export class SplitError extends SyntaxError {
  /** @param found The FOUND part of a message. */
  constructor(readonly found: string) {
    super(found);
  }
}

/**
 * Splits a text as {@linkcode splitCommand} does.
 *
 * @throws {SplitError} When it can't be split.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quoteMark = "";
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoteMark !== "" && char === quoteMark) {
      quoteMark = "";
    } else if (char === "\\" && quoteMark !== SINGLE) {
      if (++i === text.length) throw new SplitError("a backslash at the end");
      const literal = quoteMark === DOUBLE && !ESCAPED_IN_DOUBLE_QUOTES.includes(text[i]);
      word = (word ?? "") + (literal ? char : "") + text[i];
    } else if (quoteMark !== "") {
      word += char;
    } else if (char === SINGLE || char === DOUBLE) {
      quoteMark = char;
      word ??= "";
    } else if (/[\t-\r ]/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quoteMark !== "") throw new SplitError(`a ${quoteMark} that is not closed`);
  if (word !== undefined) words.push(word);
  return words;
}

/**
 * Splits a command into its words and makes sure that the first one, the program, isn't empty.
 *
 * @param text The command as it is written in a settings file.
 * @returns Its words; at least one.
 * @throws {SyntaxError} When it can't be split, or names no program.
 */
export function parseCommand(text: string): string[] {
  const words = splitCommand(text);
  if (words.length === 0 || words[0] === "") throw refuse(text, "no program");
  return words;
}

/**
 * Finds the first word of a command that a shell would interpret: a redirection, or a separator of commands.
 *
 * @param text The command as written in a settings file.
 * @returns The word; undefined if there is none, or it is quoted.
 */
export function shellOperator(text: string): string | undefined {
  const unquoted = text.replace(/\\.|'[^']*'|"(?:\\.|[^"\\])*"/gs, "x");
  return unquoted.split(/\s+/).find((word) => /^(?:[0-9]*[<>].*|&>.*|\|\|?|&&?|;)$/.test(word));
}

function refuse(text: string, found: string): SyntaxError {
  return new SyntaxError(cannot("split command", text, { found, expected: COMMAND_FORM }));
}

/** Writes a word as {@linkcode splitCommand} and a shell read it: in quotes where it needs them. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * Variables of the environment of a server: the value of `server-env`.
 *
 * No message shows a value, or a word that may be a part of one.
 *
 * @module
 */
import { SplitError, splitWords } from "./command.ts";
import { quote } from "./errors.ts";

/** Variables by name. */
export type Variables = ReadonlyMap<string, string>;

/** How `server-env` is written. */
export const VARIABLES_FORM =
  "KEY=VALUE, with quotes as in a shell around a value with white space";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Tells a server which descriptors are its listeners; only the master knows that. */
const OF_MASTER: ReadonlySet<string> = new Set(["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]);

/**
 * Reads the value of `server-env`.
 *
 * @param text One or more of {@linkcode VARIABLES_FORM}.
 * @returns The variables.
 * @throws {SyntaxError} When a part is no variable, or a name is there twice.
 */
export function parseVariables(text: string): Variables {
  const variables = new Map<string, string>();
  for (const [index, word] of wordsOf(text).entries()) {
    const equals = word.indexOf("="), name = word.slice(0, equals);
    const problem = equals < 0
      ? { found: 'no "=" in it', expected: VARIABLES_FORM }
      : nameProblem(name) ?? (variables.has(name) ? TWICE : undefined);
    if (problem !== undefined) throw new SyntaxError(refused({ index, name, ...problem }));
    variables.set(name, word.slice(equals + 1));
  }
  return variables;
}

const TWICE = {
  found: "it is set twice",
  expected: "each variable once in a service",
  isName: true,
};

function wordsOf(text: string): string[] {
  try {
    return splitWords(text);
  } catch (error) {
    if (!(error instanceof SplitError)) throw error;
    throw new SyntaxError(`Cannot read the variables: ${error.found}, expected ${VARIABLES_FORM}`);
  }
}

/** Why a text sets no variable. */
export interface VariableProblem {
  readonly found: string;
  readonly expected: string;
  /** Whether the name is one, and no part of a value. */
  readonly isName?: boolean;
}

/** What is wrong with the name of a variable. */
export function nameProblem(name: string): VariableProblem | undefined {
  if (!NAME.test(name)) {
    return {
      found: "a name that no variable can have",
      expected: "a letter or _, and then letters, digits and _",
    };
  }
  if (!OF_MASTER.has(name)) return undefined;
  const expected = "another name: server-service lists the listeners";
  return { found: "the master sets it", expected, isName: true };
}

function refused(
  { index, name, found, expected, isName = false }: VariableProblem & {
    index: number;
    name: string;
  },
): string {
  const which = isName ? `set variable ${quote(name)}` : `read variable number ${index + 1}`;
  return `Cannot ${which}: ${found}, expected ${expected}`;
}

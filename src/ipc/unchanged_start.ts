/**
 * What a master tells a program that knows nothing of it: a variable of its environment, which the preloaded module
 * reads and removes. The arguments of the program stay its own.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import type { ListenAddress } from "../os/net/socket.ts";

/** The variable. */
export const UNCHANGED_VARIABLE = "ZC_MASTER_START";

/** The variable by which the runtime serves what a main module exports, as `deno serve` does. */
export const AUTO_SERVE_VARIABLE = "DENO_AUTO_SERVE";

/** A service of the program. */
export interface AssignedService {
  readonly name: string;
  readonly address: ListenAddress;
}

/** The start of a program. */
export interface UnchangedStart {
  /** The arguments that the master appends to the command of a server of this framework. */
  readonly args: readonly string[];
  /** The services, in the order in which their sockets come. */
  readonly services: readonly AssignedService[];
  /** The port of `deno serve --port`. */
  readonly port?: number;
}

/** The value of the variable. */
export function formatUnchangedStart(start: UnchangedStart): string {
  return JSON.stringify(start);
}

/**
 * Reads the value of the variable.
 *
 * @throws {TypeError} When it is none of a master.
 */
export function parseUnchangedStart(text: string): UnchangedStart {
  try {
    const start: UnchangedStart = JSON.parse(text);
    const isWhole = [start.args, start.services].every(Array.isArray);
    if (isWhole) return start;
  } catch {
    // The message is the same.
  }
  throw new TypeError(cannot("read", UNCHANGED_VARIABLE, {
    found: "no start of a program in it",
    expected: "the text of a master of the same version",
  }));
}

/**
 * How a program is started again as one of its own servers (`server-command = self NAME`): by one argument
 * before all others. docs/design/30_one_binary.md has the reasons.
 *
 * @module
 */

/** The first word of a `server-command` that starts the running program again. */
export const SELF = "self";

/** The name of the built-in server of `metrics`; no server of a program can have it. */
export const METRICS_SERVER = "+metrics";

/** What a name consists of. */
export const SERVER_NAME_FORM = "letters, digits, ., _ and -";

const NAME = /^\w[\w.-]*$/;

const PREFIX = "--zc-server=";

/** A command line without the part that names a server. */
export interface OwnServerCall {
  /** The server; undefined if the command line names none. */
  readonly name?: string;
  /** The argument that names it, as it was given. */
  readonly given?: string;
  /** The arguments of the server, or all of them if none is named. */
  readonly args: readonly string[];
}

/** The server that a person has named by a plain word. */
let chosen: string | undefined;

/** The argument that starts a program as one of its servers. */
export function ownServerArgument(name: string): string {
  return `${PREFIX}${name}`;
}

/** Whether a text can be the name of a server. */
export function isServerName(text: string): boolean {
  return NAME.test(text);
}

/** Makes a first argument of this name stand for the server, in this process. */
export function chooseOwnServer(name: string): void {
  chosen = name;
}

/**
 * Parts the server's name from a command line.
 *
 * @param args The command line.
 * @param isCompiled Whether the program may have arguments of `deno compile` before its own.
 */
export function splitOwnServer(
  args: readonly string[],
  isCompiled: boolean = Deno.build.standalone,
): OwnServerCall {
  const at = (isCompiled ? args : args.slice(0, 1)).findIndex((arg) => arg.startsWith(PREFIX));
  if (at >= 0) {
    const given = args[at];
    return { name: given.slice(PREFIX.length), given, args: args.slice(at + 1) };
  }
  if (chosen === undefined || args[0] !== chosen) return { args };
  return { name: chosen, given: chosen, args: args.slice(1) };
}

/**
 * The name of the server that this process is to run, for a program that chooses between its master and its
 * servers itself.
 *
 * @returns The NAME of `server-command = self NAME`; undefined in a process that was not started as one of them:
 * `masterServerMain` is called there, for a master, a command or the built-in service `metrics`.
 *
 * @example
 * ```ts
 * import { coroutineServe, coroutineServerMain, masterServerMain, selfName } from "@zc/master";
 *
 * const serviceRegister = (_service: string, fd: number, fdType: "inet" | "unix" | "fifo") =>
 *   coroutineServe(fd, fdType, (conn) => conn.readable.pipeTo(conn.writable));
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     selfName() === "echo"
 *       ? await coroutineServerMain({ serviceRegister })
 *       : await masterServerMain(),
 *   );
 * }
 * ```
 */
export function selfName(): string | undefined {
  const { name } = splitOwnServer(Deno.args);
  // The master runs it, so to the program it is the start of a master.
  return name === METRICS_SERVER ? undefined : name;
}

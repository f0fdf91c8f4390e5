/**
 * The command line of the master that takes this one's place: the same as this one's, with one more
 * argument that tells the new master where the old one is.
 *
 * @module
 */
import { isExecutable, searchPath } from "../os/program_lookup.ts";
import { execPath, readTextProcSelf } from "../os/proc_self.ts";

/** The argument that names the descriptor of the socket to the old master. */
export const UPGRADE_ARGUMENT = "-master-upgrade";

/** How this process was started. */
export interface OwnCommand {
  /** All arguments of the process, the program and what the runtime takes included. */
  readonly argv: readonly string[];
  /** The program, as a path that a newer file may have by now. */
  readonly program: string;
  /** The working directory. */
  readonly cwd: string;
}

/**
 * Finds out how this process was started. To be called at the start: the program's file may be
 * replaced later on, and relative paths lead elsewhere.
 */
export function ownCommand(): OwnCommand {
  const argv = readTextProcSelf("cmdline").split("\0").slice(0, -1);
  return { argv, program: programPath(argv[0] ?? ""), cwd: Deno.cwd() };
}

/** By name rather than by what runs, so that a link can lead to a new version. */
function programPath(name: string): string {
  const candidates = name.includes("/")
    ? [name.startsWith("/") ? name : `${Deno.cwd()}/${name}`]
    : searchPath().map((directory) => `${directory}/${name}`);
  return candidates.find(isExecutable) ?? execPath();
}

/**
 * Makes the command line of a successor.
 *
 * @param own How this process was started.
 * @param fd The descriptor of the socket to this process.
 */
export function successorCommand({ argv, program }: OwnCommand, fd: number): string[] {
  return [program, ...splitUpgrade(argv.slice(1)).args, UPGRADE_ARGUMENT, String(fd)];
}

/**
 * Takes the argument that {@linkcode successorCommand} has added off a command line.
 *
 * @param args The command line.
 * @returns The rest, and the descriptor, if there is one.
 */
export function splitUpgrade(
  args: readonly string[],
): { readonly args: readonly string[]; readonly fd?: number } {
  const [name, value] = args.slice(-2);
  return name === UPGRADE_ARGUMENT && /^[0-9]+$/.test(value)
    ? { args: args.slice(0, -2), fd: Number(value) }
    : { args };
}

/**
 * The command line of the master that takes this one's place: the same as this one's, with one more
 * argument that tells the new master where the old one is.
 *
 * @module
 */
import { openFilesAtStart } from "../../os/process/limits.ts";
import { ownProgram } from "../../os/process/program_lookup.ts";
import { readTextProcSelf } from "../../os/ffi/proc_self.ts";
import { namedDirectory } from "../../os/process/working_directory.ts";

/** The argument that names the descriptor of the socket to the old master. */
export const UPGRADE_ARGUMENT = "-master-upgrade";

/** How this process was started. */
export interface OwnCommand {
  /** All arguments of the process, the program and what the runtime takes included. */
  readonly argv: readonly string[];
  /** The working directory by its name. */
  readonly cwd: string;
  /** See {@linkcode openFilesAtStart}. */
  readonly openFiles: number;
  /**
   * The program, where it can be started from now.
   *
   * @param first See {@linkcode ownProgram}.
   */
  program(first: "file" | "name"): string;
}

/**
 * Finds out how this process was started. To be called at the start: later on relative paths may lead
 * elsewhere.
 *
 * @throws {TypeError} When the working directory has been removed.
 */
export function ownCommand(): OwnCommand {
  const argv = readTextProcSelf("cmdline").split("\0").slice(0, -1);
  const [name = ""] = argv, cwd = namedDirectory();
  return {
    argv,
    cwd,
    openFiles: openFilesAtStart(),
    program: (first) => ownProgram(first, { name, cwd }),
  };
}

/**
 * Makes the command line of a successor.
 *
 * @param own How this process was started.
 * @param fd The descriptor of the socket to this process.
 */
export function successorCommand({ argv, program }: OwnCommand, fd: number): string[] {
  // By name rather than by what runs, so that a link can lead to a new version.
  return [program("name"), ...splitUpgrade(argv.slice(1)).args, UPGRADE_ARGUMENT, String(fd)];
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

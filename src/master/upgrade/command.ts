/**
 * The command line of a new master: the same as this master's, with one more argument that names
 * the socket to the old master.
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
  /** All arguments of the process, including the program and the runtime's flags. */
  readonly argv: readonly string[];
  /** The working directory by its name. */
  readonly cwd: string;
  /** See {@linkcode openFilesAtStart}. */
  readonly openFiles: number;
  /**
   * The path from which the program can be started now.
   *
   * @param first See {@linkcode ownProgram}.
   */
  program(first: "file" | "name"): string;
}

/**
 * Finds out how this process was started. To be called at the start, since relative paths may lead
 * elsewhere later.
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
 * Creates the command line of a new master.
 *
 * @param own How this process was started.
 * @param fd The descriptor of the socket to this process.
 */
export function newMasterCommand({ argv, program }: OwnCommand, fd: number): string[] {
  // By name, so that a changed link leads to the new version of the program.
  return [program("name"), ...splitUpgrade(argv.slice(1)).args, UPGRADE_ARGUMENT, String(fd)];
}

/**
 * Creates the command line of a further process of this program.
 *
 * @param own How this process was started.
 * @param args The arguments of the program, in the place of its own.
 */
export function newProcessCommand(
  { argv, program }: OwnCommand,
  args: readonly string[],
): string[] {
  // A compiled program has no such flags, and arguments of `deno compile` that are not in `argv`.
  const runtime = Deno.build.standalone ? [] : argv.slice(1, argv.length - Deno.args.length);
  return [program("name"), ...runtime, ...args];
}

/**
 * Removes the argument of {@linkcode newMasterCommand} from a command line.
 *
 * @param args The command line.
 * @returns The other arguments, and the descriptor, if there is one.
 */
export function splitUpgrade(
  args: readonly string[],
): { readonly args: readonly string[]; readonly fd?: number } {
  const [name, value] = args.slice(-2);
  return name === UPGRADE_ARGUMENT && /^[0-9]+$/.test(value)
    ? { args: args.slice(0, -2), fd: Number(value) }
    : { args };
}

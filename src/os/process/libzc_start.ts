/**
 * What a program finds at its start that was written for LIB-ZC's master: its own children leave no
 * zombies, and it may open as many files as the master was allowed at its start.
 *
 * @module
 */
import { libc } from "../ffi/libc.ts";
import { limitOpenFiles } from "./limits.ts";
import { isExecutable, isStartedByKernel } from "./program_lookup.ts";
import { SIGNALS } from "./signals.ts";

const SIGCHLD = SIGNALS.indexOf("SIGCHLD");
/** More than `struct sigaction` has in glibc on x86-64 and arm64: 152 bytes. */
const SIGACTION_BYTES = 256;
/** A `struct sigaction` whose handler is SIG_IGN. */
const IGNORE = new Uint8Array(SIGACTION_BYTES);
IGNORE[0] = 1;

/** What is to be as for LIB-ZC's servers. */
export interface InheritedState {
  /** Whether SIGCHLD is ignored. */
  readonly ignoresChildren: boolean;
  /** The soft limit of open files. */
  readonly openFiles: number;
}

/** A shell that can hand an ignored SIGCHLD on, and any `argv[0]`; others can do neither. */
const BASH = "/bin/bash";

/**
 * Changes a command so that its program ignores SIGCHLD. There is no attribute of posix_spawn(3) for
 * this; and if the signal were ignored here meanwhile, the end of a child would be lost.
 *
 * @param command The path and the arguments, `argv[0]` included.
 * @returns The command as it was, where there is no bash(1), and where the kernel can't start the file:
 * then posix_spawn(3) says what is wrong, or gives it to a shell, which sets SIGCHLD itself.
 */
export function ignoringChildren<T extends { path: string; argv: readonly string[] }>(
  command: T,
): T {
  if (!isExecutable(BASH) || !isStartedByKernel(command.path)) return command;
  const { path, argv: [name, ...args] } = command;
  const script = 'trap "" CHLD; exec -a "$0" "$@"';
  return { ...command, path: BASH, argv: [BASH, "-p", "-c", script, name, path, ...args] };
}

/**
 * Gives this process such a state, before it becomes the program.
 *
 * @param state The state.
 */
export function takeInheritedState({ ignoresChildren, openFiles }: InheritedState): void {
  if (ignoresChildren) libc().sigaction(SIGCHLD, IGNORE, null);
  limitOpenFiles(openFiles);
}

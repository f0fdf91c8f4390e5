/**
 * The inherited state that programs for LIB-ZC's master expect: SIGCHLD is ignored, so their children leave
 * no zombies, and the limit of open files is the one with which the master was started.
 *
 * @module
 */
import { libc } from "../ffi/libc.ts";
import { limitOpenFiles } from "./limits.ts";
import { isExecutable, isStartedByKernel } from "./program_lookup.ts";
import { SIGNALS } from "./signals.ts";

const SIGCHLD = SIGNALS.indexOf("SIGCHLD");
/** More than the size of `struct sigaction` in glibc on x86-64 and arm64: 152 bytes. */
const SIGACTION_BYTES = 256;
/** A `struct sigaction` whose handler is SIG_IGN. */
const IGNORE = new Uint8Array(SIGACTION_BYTES);
IGNORE[0] = 1;

/** The state that LIB-ZC's servers inherit. */
export interface InheritedState {
  /** Whether SIGCHLD is ignored. */
  readonly ignoresChildren: boolean;
  /** The soft limit of open files. */
  readonly openFiles: number;
}

/** A shell that can pass on an ignored SIGCHLD and any `argv[0]`; other shells can do neither. */
const BASH = "/bin/bash";

/**
 * Changes a command so that its program ignores SIGCHLD. posix_spawn(3) has no attribute for this; and if
 * the signal were ignored here for a moment, the end of a child would be missed.
 *
 * @param command The path and the arguments, `argv[0]` included.
 * @returns The unchanged command where bash(1) is missing or the kernel can't start the file: then
 * posix_spawn(3) reports the error, or gives the file to a shell, which sets SIGCHLD itself.
 */
export function ignoringChildren<T extends { path: string; argv: readonly string[] }>(
  command: T,
): T {
  if (!isExecutable(BASH) || !isStartedByKernel(command.path)) return command;
  const { path, argv: [name, ...args] } = command;
  const script = 'trap "" CHLD; exec -a "$0" "$@"';
  return { ...command, path: BASH, argv: [BASH, "-p", "-c", script, name, path, ...args] };
}

/** Applies such a state to this process before it executes the program. */
export function takeInheritedState({ ignoresChildren, openFiles }: InheritedState): void {
  if (ignoresChildren) libc().sigaction(SIGCHLD, IGNORE, null);
  limitOpenFiles(openFiles);
}

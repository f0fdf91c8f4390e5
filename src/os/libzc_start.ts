/**
 * What a program finds at its start that was written for LIB-ZC's master: its own children leave no
 * zombies, and it may open as many files as the master was allowed at its start.
 *
 * @module
 */
import { libc } from "./libc.ts";
import { limitOpenFiles, withOpenFiles } from "./limits.ts";
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

/**
 * Starts a process that inherits such a state.
 *
 * @param state The state.
 * @param start Starts it, on this thread.
 * @returns What that returns.
 */
export function withInheritedState<T>(state: InheritedState, start: () => T): T {
  return withOpenFiles(
    state.openFiles,
    () => state.ignoresChildren ? withChildrenIgnored(start) : start(),
  );
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

/**
 * There is no attribute of posix_spawn(3) for this, and a handler is no more than the default in the
 * program. A child of this process that ends meanwhile is reaped by the kernel: its end is told by the
 * signal below, and how it ended stays unknown.
 */
function withChildrenIgnored<T>(start: () => T): T {
  const before = new Uint8Array(SIGACTION_BYTES);
  libc().sigaction(SIGCHLD, IGNORE, before);
  try {
    return start();
  } finally {
    libc().sigaction(SIGCHLD, before, null);
    Deno.kill(Deno.pid, "SIGCHLD");
  }
}

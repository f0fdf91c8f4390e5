/**
 * The interface of a started process, for every way of starting one.
 *
 * @module
 */

/** The exit status of a process. */
export interface ExitStatus {
  /** The exit code; 128 + signal number when a signal ended it. */
  readonly code: number;
  /** The signal that ended it, or null. */
  readonly signal: string | null;
}

/** The status of a process that the kernel has reaped by itself. */
export const UNKNOWN_EXIT: ExitStatus = { code: -1, signal: null };

/**
 * The signals for a child: a request to end, an abort with a core file, a kill, and the continuation that
 * lets a stopped process act on the others.
 */
export type KillSignal = "SIGTERM" | "SIGABRT" | "SIGKILL" | "SIGCONT";

/** A started process. */
export interface ChildProcess {
  readonly pid: number;
  /** Fulfilled once the process has ended and was reaped. */
  readonly exited: Promise<ExitStatus>;
  /** The exit status as soon as the kernel knows it, before `exited` is fulfilled; undefined until then. */
  status(): ExitStatus | undefined;
  /** Sends a signal, unless the process has ended: another process may have its pid by then. */
  kill(signal: KillSignal): void;
  /** Lets this process end while the child is running. */
  unref(): void;
}

/** Describes an exit status, such as `exit code 1` or `signal SIGKILL`. */
export function describeExit({ code, signal }: ExitStatus): string {
  if (code === UNKNOWN_EXIT.code) return "an unknown exit code";
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}

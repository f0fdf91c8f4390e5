/**
 * A process that was started, however that was done: types only.
 *
 * @module
 */

/** How a process ended. */
export interface ExitStatus {
  /** The exit code; 128 + signal number when a signal ended it. */
  readonly code: number;
  /** The signal that ended it, or null. */
  readonly signal: string | null;
}

/** A process that was started. */
export interface ChildProcess {
  readonly pid: number;
  /** Fulfilled once it has ended and has been reaped. */
  readonly exited: Promise<ExitStatus>;
  /**
   * Sends a signal, unless the process has ended: its pid may be another process's by then.
   *
   * @param signal Which one.
   */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

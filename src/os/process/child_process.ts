/**
 * A process that was started, however that was done.
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

/** Of a process that the kernel has reaped by itself. */
export const UNKNOWN_EXIT: ExitStatus = { code: -1, signal: null };

/**
 * The signals that end a process: by its leave, with a core where the limits allow one, at once; and
 * the one that lets a stopped process act upon the others.
 */
export type KillSignal = "SIGTERM" | "SIGABRT" | "SIGKILL" | "SIGCONT";

/** A process that was started. */
export interface ChildProcess {
  readonly pid: number;
  /** Fulfilled once it has ended and has been reaped. */
  readonly exited: Promise<ExitStatus>;
  /**
   * How it has ended, as soon as the kernel knows, which is before {@linkcode ChildProcess.exited} tells.
   *
   * @returns Undefined while it runs.
   */
  status(): ExitStatus | undefined;
  /**
   * Sends a signal, unless the process has ended: its pid may be another process's by then.
   *
   * @param signal Which one.
   */
  kill(signal: KillSignal): void;
  /** Lets this process end before it. */
  unref(): void;
}

/**
 * Says how a process ended.
 *
 * @param status What the system tells of it.
 * @returns Such as `exit code 1` or `signal SIGKILL`.
 */
export function describeExit({ code, signal }: ExitStatus): string {
  if (code === UNKNOWN_EXIT.code) return "an unknown exit code";
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}

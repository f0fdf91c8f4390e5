/**
 * Signals, as a port that tests replace.
 *
 * @module
 */
import { systemClock } from "../clock/clock.ts";

/** A source of signals. */
export interface Signals {
  /**
   * Calls back at each arrival of a signal, in place of its default action.
   *
   * @param signal The signal.
   * @param callback Must only record the signal, which can arrive at any time.
   * @returns Stops listening, which restores the default action.
   */
  on(signal: Deno.Signal, callback: () => void): () => void;
}

// A program that knows nothing of its master finds others in their place, which note its own handlers.
const { addSignalListener, removeSignalListener } = Deno;

/** The real signals of this process. */
export const processSignals: Signals = {
  on(signal, callback) {
    addSignalListener(signal, callback);
    return () => removeSignalListener(signal, callback);
  },
};

/**
 * Stops listening in the next turn of the event loop, which a program that exits at once never reaches:
 * otherwise the default action of a signal would end it in its last moment.
 *
 * @param releases The results of {@linkcode Signals.on}.
 */
export function releaseSignals(releases: readonly (() => void)[]): void {
  systemClock.setTimer(0, () => releases.forEach((release) => release()));
}

/** The signal names by number, the same on x86-64 and arm64 (signal(7)); number 0 has none. */
export const SIGNALS: readonly string[] = [
  "",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
];

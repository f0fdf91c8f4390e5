/**
 * Signals, as a port that tests replace.
 *
 * @module
 */
import { systemClock } from "../clock/clock.ts";

/** Where signals come from. */
export interface Signals {
  /**
   * Calls back at each arrival of a signal, in place of its default action.
   *
   * @param signal Which one.
   * @param callback Must only take note: signals can come at any time.
   * @returns Stops listening, which brings the default action back.
   */
  on(signal: Deno.Signal, callback: () => void): () => void;
}

/** The real signals of this process. */
export const processSignals: Signals = {
  on(signal, callback) {
    Deno.addSignalListener(signal, callback);
    return () => Deno.removeSignalListener(signal, callback);
  },
};

/**
 * Stops listening in the next turn of the event loop, which a program that exits right away never
 * comes to: a signal in its last moment would end it by the default action otherwise.
 *
 * @param releases What {@linkcode Signals.on} has returned.
 */
export function releaseSignals(releases: readonly (() => void)[]): void {
  systemClock.setTimer(0, () => releases.forEach((release) => release()));
}

/** The signals by their numbers, the same on x86-64 and arm64 (signal(7)); there is none of number 0. */
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

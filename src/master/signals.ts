/**
 * What each signal to a master does.
 *
 * @module
 */
import type { Poller } from "../os/fd/poller.ts";
import { onInspectorSignal } from "../os/process/inspector_signal.ts";
import { processSignals } from "../os/process/signals.ts";

/** What a master does at a signal. */
export interface SignalActions {
  /** SIGHUP. */
  reload(): void;
  /** SIGUSR2. */
  upgrade(): void;
  /** SIGTTIN and SIGTTOU: one process more or less for each service. */
  scale(by: 1 | -1): void;
  /** SIGTERM, SIGINT and SIGQUIT. */
  stop(): void;
  /** SIGUSR1. */
  reopenLogs(): void;
  /**
   * Passes a signal on to the current master, if this one stays as its parent.
   *
   * @returns Whether it was passed on; then nothing else is done, but for SIGUSR1 as follows.
   */
  passOn(signal: Deno.Signal): boolean;
  /** Whether the current master does not report its SIGUSR1 to this one. */
  hasLostNewMaster(): boolean;
}

/** The signals that stop a master. */
export const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;

/**
 * Takes the signals.
 *
 * @param poller Watches for SIGUSR1.
 * @param actions What each of them does.
 * @returns Functions that restore the default actions.
 */
export function takeSignals(poller: Poller, actions: SignalActions): (() => void)[] {
  const on = (signal: Deno.Signal, act: () => void) =>
    processSignals.on(signal, () => actions.passOn(signal) || act());
  return [
    on("SIGHUP", () => actions.reload()),
    on("SIGUSR2", () => actions.upgrade()),
    on("SIGTTIN", () => actions.scale(+1)),
    on("SIGTTOU", () => actions.scale(-1)),
    ...STOP_SIGNALS.map((signal) => on(signal, () => actions.stop())),
    // The new master reports the signal too, as long as it is connected with this one.
    onInspectorSignal(poller, () => {
      if (!actions.passOn("SIGUSR1") || actions.hasLostNewMaster()) actions.reopenLogs();
    }),
  ];
}

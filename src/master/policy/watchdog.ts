/**
 * The watchdog: a process hangs when it has sent no heartbeat for longer than `server-watchdog`.
 * Pure.
 *
 * docs/design/07_supervision.md has the reasons.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { Action, WakeTime } from "./decision.ts";
import type { Worker } from "./life.ts";

/** The time between two heartbeats. */
export const HEARTBEAT_MS = 1_000;

/**
 * The time from the first suspicion to the decision; the master reads what waits in the socket
 * meanwhile.
 */
export const SUSPECT_MS = 100;

/**
 * How long after a heartbeat a process is suspected. A process that was blocked for the allowed
 * time would have sent its next heartbeat by then; the decision comes at most a second after the
 * allowed time.
 */
export function patienceMs({ supervision: { watchdogMs } }: ServiceConfig): number {
  return watchdogMs + HEARTBEAT_MS - 2 * SUSPECT_MS;
}

/**
 * Finds a worker that hangs: silence for too long makes it suspected, and silence after that ends it.
 * Heartbeats are checked until the worker is sent a signal, once it has sent one.
 *
 * @param worker The worker.
 * @param wakeTime The time; records when the silence is too long.
 */
export function actionOnSilence(worker: Worker, wakeTime: WakeTime): Action | undefined {
  const { life } = worker;
  if (!("heartbeats" in life) || life.heartbeats === undefined) return undefined;
  const { silentUntilMs, suspected } = life.heartbeats;
  return wakeTime.isDue(silentUntilMs)
    ? { do: suspected ? "abort" : "suspect", worker }
    : undefined;
}

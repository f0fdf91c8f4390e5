/**
 * Which processes hang: those whose event loop has been silent for longer than they may. Pure.
 *
 * docs/design/07_supervision.md has the reasons.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import { isServing, isStandby, type Worker } from "./model.ts";

/** How long it is from one heartbeat to the next. */
export const HEARTBEAT_MS = 1_000;

/** From the first doubt to the verdict: what waits in the socket is read meanwhile. */
export const DOUBT_MS = 100;

/**
 * How long after a heartbeat there is reason for doubt. The next one would have come by then, even
 * from one that has stood still for its time; the verdict comes within that time and a second more.
 *
 * @param config The settings of the process.
 */
export function patienceMs({ supervision: { watchdogMs } }: ServiceConfig): number {
  return watchdogMs + HEARTBEAT_MS - 2 * DOUBT_MS;
}

/**
 * Whether a process is one whose heartbeat matters, once it has sent one: it starts, serves, waits as a
 * standby, or finishes what it has.
 *
 * @param worker The process.
 */
export function isWatched(worker: Worker): boolean {
  return isServing(worker) || isStandby(worker) || worker.state === "draining";
}

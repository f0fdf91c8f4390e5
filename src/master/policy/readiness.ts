/**
 * Until when a process has to have loaded, or to be ready: `server-ready-timeout` bounds every start,
 * that of a new service, a replacement, one more process, a standby, and each process of a reload. Pure.
 *
 * @module
 */
import type { Worker } from "./model.ts";

/**
 * Until when a process has to be ready, or, as a standby, to have loaded, if it has not yet.
 *
 * @param worker The process.
 * @returns The time; infinity where there is no limit.
 */
export function startLimitMs(
  { state, startedAtMs, readyByMs, config: { readyTimeoutMs } }: Worker,
): number {
  const isStarting = state === "loading" || state === "starting";
  if (!isStarting || readyTimeoutMs === 0) return Infinity;
  return readyByMs ?? startedAtMs + readyTimeoutMs;
}

/**
 * How a process has failed whose time for that is over.
 *
 * @param worker The process.
 */
export function latenessOf({ state, config: { readyTimeoutMs } }: Worker): string {
  const what = state === "loading" ? "has not loaded" : "was not ready";
  return `${what} within ${readyTimeoutMs / 1000} s (server-ready-timeout)`;
}

/**
 * The time limit of a start: `server-ready-timeout` bounds how long each process may take to load
 * or to become ready. Pure.
 *
 * @module
 */
import type { Worker } from "./model.ts";

/**
 * Until when a starting process has to be ready, or a loading standby has to have loaded; infinity
 * where there is no limit.
 */
export function startLimitMs(
  { state, startedAtMs, readyByMs, config: { readyTimeoutMs } }: Worker,
): number {
  const isStarting = state === "loading" || state === "starting";
  if (!isStarting || readyTimeoutMs === 0) return Infinity;
  return readyByMs ?? startedAtMs + readyTimeoutMs;
}

/** Describes a process that has exceeded its start limit. */
export function latenessOf({ state, config: { readyTimeoutMs } }: Worker): string {
  const what = state === "loading" ? "has not loaded" : "was not ready";
  return `${what} within ${readyTimeoutMs / 1000} s (server-ready-timeout)`;
}

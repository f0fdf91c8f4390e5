/**
 * The time limit of a start: `server-ready-timeout` bounds how long each process may take to load
 * or to become ready. Pure.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { Life, Worker } from "./life.ts";

/** Until when a process that starts now has to be ready, or to have loaded as a standby. */
export function readyByMs({ readyTimeoutMs }: ServiceConfig, nowMs: number): number {
  return readyTimeoutMs === 0 ? Infinity : nowMs + readyTimeoutMs;
}

/** The time limit of a start; infinity where there is none. */
export function startLimitMs(life: Life): number {
  return life.state === "loading" || life.state === "starting" ? life.readyByMs : Infinity;
}

/** What a program needs that opens its addresses itself. */
export const UNCHANGED_HINT = "server-protocol = deno";

/** Describes a process that has exceeded its start limit. */
export function latenessOf({ life, config }: Worker): string {
  const { readyTimeoutMs, addressCall, unchanged, endpoints } = config;
  const what = life.state === "loading" ? "has not loaded" : "was not ready";
  const late = `${what} within ${readyTimeoutMs / 1000} s (server-ready-timeout)`;
  if (addressCall !== undefined) {
    return `${late}; its program has ${addressCall}, expected ${UNCHANGED_HINT}`;
  }
  if (unchanged === undefined) return late;
  const addresses = endpoints.length === 1 ? "its address" : "each of its addresses";
  return `${late}; its program does not listen at ${addresses} yet`;
}

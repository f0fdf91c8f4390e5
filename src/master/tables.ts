/**
 * What the master knows: its services and their workers. Plain data, without sockets or processes.
 *
 * @module
 */
import type { ServiceConfig } from "../config/service.ts";
import { TRANSITIONS, type WorkerEvent, type WorkerState } from "./states.ts";

/** One process, from its start to its end. */
export interface Worker {
  /** Unique in this master's life; unlike a pid never used again. */
  readonly id: number;
  readonly pid: number;
  readonly generation: number;
  readonly startedAtMs: number;
  /** Changed by {@linkcode advance} only. */
  state: WorkerState;
  /** When the next harsher step is due; undefined while the worker may take its time. */
  deadlineMs?: number;
}

/** A service and its workers of all generations. */
export interface Service {
  /** The settings in force. */
  config: ServiceConfig;
  /** The generation that these settings began with; older workers are on their way out. */
  generation: number;
  /** Whether the configuration names it no longer, or the master stops. */
  retired: boolean;
  /** Nothing is started before this. */
  startAtMs: number;
  /** All that have not exited. */
  readonly workers: Set<Worker>;
}

/**
 * Changes a worker's state by the table.
 *
 * @param worker The worker.
 * @param event What happened.
 * @returns Whether the event meant something in the worker's state.
 */
export function advance(worker: Worker, event: WorkerEvent): boolean {
  const outcome = TRANSITIONS[worker.state][event];
  if (outcome === "ignored") return false;
  worker.state = outcome;
  return true;
}

/**
 * Whether a worker fills one of the places that the configuration asks for.
 *
 * @param worker The worker.
 */
export function isServing(worker: Worker): boolean {
  return worker.state === "starting" || worker.state === "ready";
}

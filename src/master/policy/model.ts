/**
 * The master's model: services, versions and workers as plain data, without sockets or processes.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { OpenedListener } from "../../os/net/socket.ts";
import { TRANSITIONS, type WorkerEvent, type WorkerState } from "./states.ts";

/** The settings of a service from one reload. */
export interface Version {
  readonly config: ServiceConfig;
  /** The number of that reload; later reloads have higher numbers. */
  readonly generation: number;
}

/** The new version of a reload, until the outcome of the rollout is known. */
export interface Candidate extends Version {
  /** No candidate worker is started before this. */
  startAtMs: number;
  /** How many candidate workers have passed and have ended since. */
  left: number;
  /** Why the rollout has failed; undefined while it has not. */
  failure?: string;
  /** By how many processes the service was scaled since the reload began; may be negative. */
  extra?: number;
}

/** The recent failures and starts of a slot; a worker's history goes on to its replacement. */
export interface RestartHistory {
  /** How many processes in a row have ended early. */
  readonly early: number;
  /** The delay from one start to the next; 0 without one. */
  readonly delayMs: number;
  /** The next start is not before this. */
  readonly startAtMs: number;
  /** The times of the starts that count for `server-start-limit`. */
  readonly starts: readonly number[];
}

/**
 * One process, from its start to its end. A standby gets its slot and restart history in {@linkcode
 * activate}.
 */
export interface Worker {
  /** Unique in the life of this master; unlike a pid never used again. */
  readonly id: number;
  readonly pid: number;
  /** The generation of its version. */
  readonly generation: number;
  readonly config: ServiceConfig;
  /** Its slot among the processes of its version. */
  slot: number;
  /** The listeners that it was started with, in the order of the service's addresses. */
  listeners: readonly OpenedListener[];
  /** When it was started, or when it was activated as a standby. */
  startedAtMs: number;
  /** The restart history that it has taken over. */
  history: RestartHistory;
  /** Whether it was started as a standby, and has not been ready since. */
  neverServed?: boolean;
  /** When it reported, as a standby, that it has loaded. */
  loadedAtMs?: number;
  /** Until when it has to be ready, if that differs from the start time plus the ready time-out. */
  readyByMs?: number;
  /** When it reported that it is ready. */
  readyAtMs?: number;
  /** Changed by {@linkcode advance} only. */
  state: WorkerState;
  /** Until when it may be silent; undefined if it sends no heartbeats. */
  silentUntilMs?: number;
  /** Whether it was silent for too long at the last check. */
  suspected?: boolean;
  /** Whether a client uses it; undefined while it has not reported. */
  used?: boolean;
  /** Whether it has ever reported that a client uses it. */
  worked?: boolean;
  /** Why it is to be recycled; undefined while it is not. */
  recycleReason?: string;
  /** Whether one of its listeners was closed because it had become useless. */
  lostListener?: boolean;
  /** When it reaches its maximum age; undefined without one. */
  oldAtMs?: number;
  /** When its memory is measured next; undefined if it is not measured. */
  measureAtMs?: number;
  /** Since when it has used too much memory; undefined while it does not. */
  overMemorySinceMs?: number;
  /** Whether it has reported that it accepts no more connections. */
  saysDraining?: boolean;
  /** When the next harsher step of its stop is due; undefined without one. */
  deadlineMs?: number;
}

/** A service and its workers of all versions. */
export interface Service {
  /** The settings file's name, or `hook:N`. */
  readonly id: string;
  /** The current version; undefined for a service that a reload adds, or that is being removed. */
  current?: Version;
  /** The version that a reload tries. */
  candidate?: Candidate;
  /** No process of the current version is started before this. */
  startAtMs: number;
  /**
   * The restart histories of ended workers of the current version, until their replacements start.
   */
  vacancies: RestartHistory[];
  /** The restart history of its standbys; undefined while none of them has failed. */
  standbyHistory?: RestartHistory;
  /** The longest restart delay that was logged, in milliseconds; 0 while no process fails. */
  toldDelayMs: number;
  /** Why the service has failed; no process of the current version is started then. */
  failure?: string;
  /** How the last process of the current version has failed, until one is ready again. */
  trouble?: string;
  /** How many processes were added to the configured number by scaling; may be negative. */
  extra: number;
  /**
   * How many processes are needed for the present use; undefined until a process was found idle.
   */
  demand?: number;
  /**
   * The slots in whose queues connections may wait, since their processes have ended unexpectedly;
   * the longest unserved one comes first.
   */
  readonly unservedSlots: Set<number>;
  /** All workers that have not exited. */
  readonly workers: Set<Worker>;
}

/**
 * Changes a worker's state by the table of transitions.
 *
 * @param worker The worker.
 * @param event What happened.
 * @returns Whether the state names the event.
 */
export function advance(worker: Worker, event: WorkerEvent): boolean {
  const next = TRANSITIONS[worker.state][event];
  if (next === undefined) return false;
  worker.state = next;
  return true;
}

/**
 * Makes a standby a serving worker; its life counts from here on.
 *
 * @param worker The standby.
 * @param filled The time, until when it has to be ready, its slot, its listeners and its restart
 * history.
 */
export function activate(
  worker: Worker,
  filled: Pick<Worker, "slot" | "listeners" | "startedAtMs" | "readyByMs" | "history">,
): void {
  if (advance(worker, "activate")) Object.assign(worker, filled);
}

/** A service without workers. */
export function newService(id: string): Service {
  return { id, workers: new Set(), unservedSlots: new Set(), ...freshStart(0) };
}

/** The supervision state of a service without a past. */
export function freshStart(
  startAtMs: number,
): Omit<Service, "id" | "current" | "candidate" | "workers" | "unservedSlots"> {
  return {
    startAtMs,
    vacancies: [],
    standbyHistory: undefined,
    toldDelayMs: 0,
    failure: undefined,
    trouble: undefined,
    extra: 0,
    demand: undefined,
  };
}

/** Whether a worker counts for the configured number of processes. */
export function isServing(worker: Worker): boolean {
  return worker.state === "starting" || worker.state === "ready";
}

/**
 * Whether a worker is a standby: it serves no clients, and does not count for the number of
 * processes.
 */
export function isStandby(worker: Worker): boolean {
  return worker.state === "loading" || worker.state === "waiting";
}

/** Whether a candidate worker has passed: it is ready, and has been for `server-soak`. */
export function hasPassed({ readyAtMs, config }: Worker, nowMs: number): boolean {
  return readyAtMs !== undefined && readyAtMs + config.soakMs <= nowMs;
}

/** Sets a worker's deadline, unless it has an earlier one, or its state allows no further step. */
export function limit(worker: Worker, deadlineMs: number): void {
  if (worker.state === "detached" || worker.state === "killing") return;
  const earliest = Math.min(worker.deadlineMs ?? Infinity, deadlineMs);
  if (earliest < Infinity) worker.deadlineMs = earliest;
}

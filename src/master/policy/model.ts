/**
 * What the master knows: its services and their workers. Plain data, without sockets or processes.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { OpenedListener } from "../../os/net/socket.ts";
import { TRANSITIONS, type WorkerEvent, type WorkerState } from "./states.ts";

/** The settings of a service as one reload has brought them. */
export interface Version {
  readonly config: ServiceConfig;
  /** The number of that reload; a later one has a higher number. */
  readonly generation: number;
}

/** A version that has yet to prove itself beside the one in force. */
export interface Candidate extends Version {
  /** None of its processes is started before this. */
  startAtMs: number;
  /** How many of its processes have proven themselves and are gone again. */
  left: number;
  /** Why it has failed, as soon as it has. */
  failure?: string;
  /** How many processes more somebody has asked for since it began; may be negative. */
  extra?: number;
}

/** One of the places that a service has for its processes: each is followed by the next one. */
export interface RestartHistory {
  /** How many of its processes in a row have ended early. */
  readonly early: number;
  /** How long it is from one start in it to the next; 0 where nothing is to be waited for. */
  readonly delayMs: number;
  /** None is started in it before this. */
  readonly startAtMs: number;
  /** When its processes were started, as far back as `server-start-limit` counts. */
  readonly starts: readonly number[];
}

/**
 * One process, from its start to its end. A standby has no slot and no place before it is enlisted, which
 * {@linkcode activate} does.
 */
export interface Worker {
  /** Unique in this master's life; unlike a pid never used again. */
  readonly id: number;
  readonly pid: number;
  /** That of its version. */
  readonly generation: number;
  readonly config: ServiceConfig;
  /** Its slot among the processes of its version. */
  slot: number;
  /** The listeners that it was started with, in the order of its addresses. */
  listeners: readonly OpenedListener[];
  /** When it was started; when it was enlisted, if it was a standby. */
  startedAtMs: number;
  /** The place that it fills. */
  history: RestartHistory;
  /** Whether it was started as a standby, and has not been ready since. */
  neverServed?: boolean;
  /** When it said, as a standby, that it has loaded. */
  loadedAtMs?: number;
  /** Until when it has to be ready, if not for as long from its start as any other process. */
  readyByMs?: number;
  /** When it said that it is ready. */
  readyAtMs?: number;
  /** Changed by {@linkcode advance} only. */
  state: WorkerState;
  /** Until when it may be silent; undefined where it sends no heartbeats. */
  silentUntilMs?: number;
  /** Whether it has been silent for too long at the last look. */
  suspected?: boolean;
  /** Whether anybody uses it; undefined while it has not said. */
  used?: boolean;
  /** Whether it has said that a client has used it. */
  worked?: boolean;
  /** Why another one is to take its place, if that is so. */
  recycleReason?: string;
  /** Whether one of its listeners was closed, since it was of no use any more. */
  lostListener?: boolean;
  /** When it is old enough for that; undefined where no age is. */
  oldAtMs?: number;
  /** When its memory is looked at next; undefined where it is not looked at. */
  measureAtMs?: number;
  /** Since when it has used too much memory; undefined while it does not. */
  overMemorySinceMs?: number;
  /** Whether it has said that it accepts no more. */
  saysDraining?: boolean;
  /** When the next harsher step is due; undefined while the worker may take its time. */
  deadlineMs?: number;
}

/** A service and its workers of all versions. */
export interface Service {
  /** The settings file's name, or `hook:N`. */
  readonly id: string;
  /** The version in force; undefined for a service that is on trial itself, or on its way out. */
  current?: Version;
  /** The version that a reload tries. */
  candidate?: Candidate;
  /** No process of the version in force is started before this. */
  startAtMs: number;
  /** The places of the version in force whose processes have ended. */
  vacancies: RestartHistory[];
  /** How its standbys have fared; undefined where there is nothing to say. */
  standbyHistory?: RestartHistory;
  /** The longest delay between two starts that was told, in milliseconds; 0 while all is well. */
  toldDelayMs: number;
  /** Why it has failed: nothing of the version in force is started any more. */
  failure?: string;
  /** How the last process of the version in force has ended or failed, while none has been ready since. */
  trouble?: string;
  /** How many processes more there are to be than the configuration says; may be negative. */
  extra: number;
  /** How many of them somebody needs; undefined while nobody has found any to be idle. */
  demand?: number;
  /**
   * The slots in whose queues somebody may wait, since their processes have ended of themselves; the
   * one that has waited the longest comes first.
   */
  readonly unservedSlots: Set<number>;
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
  const next = TRANSITIONS[worker.state][event];
  if (next === undefined) return false;
  worker.state = next;
  return true;
}

/**
 * Makes a standby one of those that serve; its life counts from here on.
 *
 * @param worker The standby.
 * @param filled The time, until when it has to be ready, and what it is to fill.
 */
export function activate(
  worker: Worker,
  filled: Pick<Worker, "slot" | "listeners" | "startedAtMs" | "readyByMs" | "history">,
): void {
  if (advance(worker, "activate")) Object.assign(worker, filled);
}

/**
 * A service of which nothing runs.
 *
 * @param id The settings file's name, or `hook:N`.
 */
export function newService(id: string): Service {
  return { id, workers: new Set(), unservedSlots: new Set(), ...freshStart(0) };
}

/**
 * What a service knows of the past of its processes, where there is none, or it is to be forgotten.
 *
 * @param startAtMs When the next process may be started at the earliest.
 */
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

/**
 * Whether a worker fills one of the places that the configuration asks for.
 *
 * @param worker The worker.
 */
export function isServing(worker: Worker): boolean {
  return worker.state === "starting" || worker.state === "ready";
}

/**
 * Whether a worker is a standby: it serves nobody, and fills no place.
 *
 * @param worker The worker.
 */
export function isStandby(worker: Worker): boolean {
  return worker.state === "loading" || worker.state === "waiting";
}

/**
 * Whether a worker of a version on trial has done what the trial asks of it: it is ready, and has
 * lived on for `server-soak`.
 *
 * @param worker The worker.
 * @param nowMs The time.
 */
export function hasPassed({ readyAtMs, config }: Worker, nowMs: number): boolean {
  return readyAtMs !== undefined && readyAtMs + config.soakMs <= nowMs;
}

/**
 * Sets a worker's deadline, unless it has an earlier one, or nothing more can be done about it.
 *
 * @param worker The worker.
 * @param deadlineMs When the next harsher step is due at the latest.
 */
export function limit(worker: Worker, deadlineMs: number): void {
  if (worker.state === "detached" || worker.state === "killing") return;
  const earliest = Math.min(worker.deadlineMs ?? Infinity, deadlineMs);
  if (earliest < Infinity) worker.deadlineMs = earliest;
}

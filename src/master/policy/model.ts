/**
 * The master's model: services and versions as plain data, without sockets or processes.
 *
 * @module
 */
import type { RestartHistory, Worker } from "./life.ts";
import type { ResolvedService } from "./resolved_service.ts";

/** The settings of a service from one reload. */
export interface Version {
  readonly config: ResolvedService;
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

/** The unexpected end of a process. */
export interface LastExit {
  readonly pid: number;
  /** Such as `exit code 1`. */
  readonly reason: string;
  /** When it was reported, in milliseconds since 1970. */
  readonly atMs: number;
  /** How long it ran, in milliseconds. */
  readonly ranMs: number;
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
  /** How the last process of the current version has failed, until one is ready again or none is missing. */
  trouble?: string;
  /** Since when processes are missing after an unexpected end; undefined while none is. */
  unreadySinceMs?: number;
  /** How often a process has ended unexpectedly; a candidate worker counts once it has passed. */
  restarts: number;
  /** The last such end; undefined if there was none. */
  lastExit?: LastExit;
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

/** A service without workers. */
export function newService(id: string): Service {
  return { id, workers: new Set(), unservedSlots: new Set(), restarts: 0, ...freshStart(0) };
}

/** The supervision state of a service without a past. */
export function freshStart(
  startAtMs: number,
): Omit<
  Service,
  "id" | "current" | "candidate" | "workers" | "unservedSlots" | "restarts" | "lastExit"
> {
  return {
    startAtMs,
    vacancies: [],
    standbyHistory: undefined,
    toldDelayMs: 0,
    failure: undefined,
    trouble: undefined,
    unreadySinceMs: undefined,
    extra: 0,
    demand: undefined,
  };
}

/** Why a service has failed, or how its last process has failed; undefined if all is well. */
export function problemOf({ failure, trouble }: Service): string | undefined {
  return failure ?? trouble;
}

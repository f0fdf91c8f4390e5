/**
 * The settings of a service's supervision: restarts, limits and scaling of its processes.
 *
 * @module
 */
import {
  SERVER_BACKOFF_MAX,
  SERVER_HEALTHY_AFTER,
  SERVER_IDLE_EXIT,
  SERVER_MAX_AGE,
  SERVER_MAX_CONNECTIONS,
  SERVER_MAX_MEMORY,
  SERVER_PROC_MIN,
  SERVER_STANDBY_COUNT,
  SERVER_START_LIMIT,
  SERVER_WATCHDOG,
  type Setting,
} from "./settings.ts";
import type { Rate } from "./values.ts";

/** The supervision of a service's processes. */
export interface Supervision {
  /** The least life of a process that has not ended early, in milliseconds. */
  readonly healthyAfterMs: number;
  /** The longest delay between two starts of processes that end early, in milliseconds. */
  readonly backoffMaxMs: number;
  /** The most starts of a process in one slot; without it there is no limit. */
  readonly startLimit: Rate | undefined;
  /** The longest time that the event loop of a process may stand still, in milliseconds; 0 is without limit. */
  readonly watchdogMs: number;
  /** The number of connections after which a process is replaced; without it there is no limit. */
  readonly maxConnections: number | undefined;
  /** The age at which a process is replaced, in milliseconds; 0 is without limit. */
  readonly maxAgeMs: number;
  /** The memory use at which a process is replaced, in bytes; 0 and infinity are without limit. */
  readonly maxMemoryBytes: number;
  /** The idle time after which a process ends, in milliseconds; 0 is without limit. */
  readonly idleExitMs: number;
  /** The number of idle processes to keep. */
  readonly procMin: number;
  /** The number of standby processes. */
  readonly standbyCount: number;
}

/** Reads these settings; `read` returns one of a service, or its default. */
export function readSupervision(read: <T>(setting: Setting<T>) => T): Supervision {
  return {
    healthyAfterMs: read(SERVER_HEALTHY_AFTER),
    backoffMaxMs: read(SERVER_BACKOFF_MAX),
    startLimit: read(SERVER_START_LIMIT),
    watchdogMs: read(SERVER_WATCHDOG),
    maxConnections: read(SERVER_MAX_CONNECTIONS),
    maxAgeMs: read(SERVER_MAX_AGE),
    maxMemoryBytes: read(SERVER_MAX_MEMORY),
    idleExitMs: read(SERVER_IDLE_EXIT),
    procMin: read(SERVER_PROC_MIN),
    standbyCount: read(SERVER_STANDBY_COUNT),
  };
}

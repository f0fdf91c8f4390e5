/**
 * The settings by which the processes of a service are kept going: how they are started again,
 * watched and replaced.
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
  SERVER_SPARE_COUNT,
  SERVER_START_LIMIT,
  SERVER_WATCHDOG,
  type Setting,
} from "./settings.ts";
import type { Rate } from "./values.ts";

/** How the processes of a service are kept going. */
export interface Supervision {
  /** How long a process lives that has not ended early, in milliseconds. */
  readonly healthyAfterMs: number;
  /** The longest time between two starts where processes end early, in milliseconds. */
  readonly backoffMaxMs: number;
  /** How often a process may be started in the same place; without it as often as need be. */
  readonly startLimit: Rate | undefined;
  /** How long the event loop of a process may stand still, in milliseconds; 0 is without limit. */
  readonly watchdogMs: number;
  /** How many connections a process accepts until it is replaced; without it as many as come. */
  readonly maxConnections: number | undefined;
  /** How old a process gets until it is replaced, in milliseconds; 0 is without limit. */
  readonly maxAgeMs: number;
  /** How much memory a process may use, in bytes; 0 and infinity are without limit. */
  readonly maxMemoryBytes: number;
  /** How long a process goes on that nobody uses, in milliseconds; 0 is without limit. */
  readonly idleExitMs: number;
  /** How many processes are kept though nobody uses them. */
  readonly procMin: number;
  /** How many processes have loaded and wait. */
  readonly standbyCount: number;
}

/**
 * Reads these settings.
 *
 * @param read Reads one of a service, or its default.
 */
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
    standbyCount: read(SERVER_SPARE_COUNT),
  };
}

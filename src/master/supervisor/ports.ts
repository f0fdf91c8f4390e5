/**
 * The supervisor's ports: every access that it has to the system.
 *
 * @module
 */
import type { Clock } from "../../os/clock/clock.ts";
import type { ListenerPort } from "../listeners/system.ts";
import type { WatchListener } from "../listeners/watches.ts";
import type { Launcher } from "../workers/worker.ts";

/** Every access that the supervisor has to the system. */
export interface SupervisorPorts {
  readonly clock: Clock;
  readonly launcher: Launcher;
  readonly listeners: ListenerPort;
  /** Writes a line to the log. */
  log(text: string): void;
  /** Writes a line to the log at debug level. */
  debug?(text: string): void;
  /**
   * How many old generations of a service may drain at the same time; read at each decision.
   *
   * @default {() => Infinity}
   */
  maxGenerations?(): number;
  /**
   * A random number from 0 up to 1.
   *
   * @default {Math.random}
   */
  random?(): number;
  /**
   * Watches a listener.
   *
   * @default Nothing is watched.
   */
  readonly watchListener?: WatchListener;
  /**
   * Calls back in a later turn of the event loop, after what is already due.
   *
   * @default The number of starts in one turn is not limited.
   */
  readonly afterTurn?: (callback: () => void) => void;
  /**
   * The memory of a process, in bytes.
   *
   * @default {proportionalMemory}
   */
  memoryOf?(pid: number): number;
  /**
   * The generation of the old master that this one replaces.
   *
   * @default {0}
   */
  readonly generation?: number;
}

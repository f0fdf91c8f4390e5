/**
 * The supervisor's only ways to the system.
 *
 * @module
 */
import type { Clock } from "../../os/clock/clock.ts";
import type { ListenerPort } from "../listeners/system.ts";
import type { WatchListener } from "../listeners/watches.ts";
import type { Launcher } from "../workers/worker.ts";

/** The supervisor's only ways to the system. */
export interface SupervisorPorts {
  readonly clock: Clock;
  readonly launcher: Launcher;
  readonly listeners: ListenerPort;
  /** Takes lines for the log. */
  log(text: string): void;
  /** Takes lines for the log that are only wanted in detail. */
  debug?(text: string): void;
  /**
   * How many old generations of a service may drain at the same time; asked anew each time.
   *
   * @default {() => Infinity}
   */
  maxGenerations?(): number;
  /**
   * Chance: a number from 0 up to 1.
   *
   * @default {Math.random}
   */
  random?(): number;
  /**
   * Watches a listener.
   *
   * @default Nothing is ever told of any.
   */
  readonly watchListener?: WatchListener;
  /**
   * Calls back in a later turn of the event loop, after what is due in it by then.
   *
   * @default No number of starts is too many for one turn.
   */
  readonly afterTurn?: (callback: () => void) => void;
  /**
   * How much memory a process uses.
   *
   * @default {proportionalMemory}
   */
  memoryOf?(pid: number): number;
  /**
   * The generation of the master that this one takes the place of.
   *
   * @default {0}
   */
  readonly generation?: number;
}

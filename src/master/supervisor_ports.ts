/**
 * The supervisor's only ways to the system.
 *
 * @module
 */
import type { Clock } from "../os/clock.ts";
import type { ListenerPort } from "./listener_port.ts";
import type { Launcher } from "./worker_process.ts";

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
   * Calls back once, when something waits in the queue of one of the listeners, with that one; what it
   * returns ends the watch.
   *
   * @default Nothing is ever waiting.
   */
  watchQueues?(fds: readonly number[], onWaiting: (fd: number) => void): () => void;
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

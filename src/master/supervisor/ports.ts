/**
 * The supervisor's ports: every access that it and its parts have to the system.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import type { UntimedEvent } from "../../control/messages.ts";
import type { Clock } from "../../os/clock/clock.ts";
import type { ListenerPort } from "../listeners/system.ts";
import type { WatchListener } from "../listeners/watches.ts";
import type { Launcher } from "../workers/worker.ts";

/** What the supervisor tells an operator. */
export type SupervisorEvent = Extract<
  UntimedEvent,
  { readonly type: "ready" | "exit" | "failed" | "recovered" }
>;

/** Every access to the system. Each part of the supervisor takes those that it uses. */
export interface Ports {
  readonly clock: Clock;
  /** The time of day, in milliseconds since 1970; what depends on a duration uses the clock. */
  timeOfDayMs(): number;
  readonly launcher: Launcher;
  readonly listeners: ListenerPort;
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
  /** Writes a line to the log at debug level. */
  debug(text: string): void;
  /** Tells an operator who watches what has happened. */
  tell(event: SupervisorEvent): void;
  /**
   * How many old generations of a service may drain at the same time; read at each decision.
   */
  maxGenerations(): number;
  /** A random number from 0 up to 1. */
  random(): number;
  /** The memory of a process, in bytes; throws when it can't be read. */
  memoryOf(pid: number): number;
  /** Watches a listener. Without it nothing is watched. */
  readonly watchListener?: WatchListener;
  /**
   * Calls back in a later turn of the event loop, after what is already due. Without it the number of
   * starts in one turn is not limited.
   */
  readonly afterTurn?: (callback: () => void) => void;
}

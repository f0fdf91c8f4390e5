/**
 * The life of a worker process as the master sees it: states, events, and one table.
 *
 * This file imports nothing. docs/design/03_worker_states.md explains it.
 *
 * @module
 */

/** Where a worker is in its life. */
export type WorkerState =
  /** A standby: its process runs; it has not said that it has loaded. */
  | "loading"
  /** A standby: it has loaded, and waits until it is needed. */
  | "waiting"
  /** Its process runs; it has not said that it is ready. */
  | "starting"
  /** It serves. */
  | "ready"
  /** It was told to accept no more, and finishes what it has. */
  | "draining"
  /** It was sent SIGTERM, or SIGABRT where it hung. */
  | "stopping"
  /** It was sent SIGKILL. */
  | "killing"
  /** It went its own way: never signalled again, only reaped. */
  | "detached"
  /** Its process has ended. */
  | "exited";

/** What can happen to a worker. */
export type WorkerEvent =
  | "loaded"
  | "activate"
  | "ready"
  | "softstop"
  | "terminate"
  | "kill"
  | "detach"
  | "exit";

/**
 * The state that an event leads to. An event that a state does not name changes nothing: messages and
 * signals can cross on their way.
 */
export const TRANSITIONS: Readonly<
  Record<WorkerState, Readonly<Partial<Record<WorkerEvent, WorkerState>>>>
> = {
  loading: {
    loaded: "waiting",
    // It is further than any that would be started now.
    activate: "starting",
    softstop: "draining",
    terminate: "stopping",
    kill: "killing",
    detach: "detached",
    exit: "exited",
  },
  waiting: {
    activate: "starting",
    softstop: "draining",
    terminate: "stopping",
    kill: "killing",
    detach: "detached",
    exit: "exited",
  },
  starting: {
    ready: "ready",
    softstop: "draining",
    terminate: "stopping",
    kill: "killing",
    detach: "detached",
    exit: "exited",
  },
  ready: {
    softstop: "draining",
    terminate: "stopping",
    kill: "killing",
    detach: "detached",
    exit: "exited",
  },
  draining: {
    terminate: "stopping",
    kill: "killing",
    // It detached before it was told to drain.
    detach: "detached",
    exit: "exited",
  },
  stopping: { kill: "killing", exit: "exited" },
  killing: { exit: "exited" },
  detached: { exit: "exited" },
  exited: {},
};

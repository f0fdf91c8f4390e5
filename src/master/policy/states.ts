/**
 * The states of a worker process, its events, and the table of transitions.
 *
 * This file imports nothing. docs/design/03_worker_states.md explains it.
 *
 * @module
 */

/** The state of a worker. */
export type WorkerState =
  /** A standby that has not reported that it has loaded. */
  | "loading"
  /** A standby that has loaded and waits for its activation. */
  | "waiting"
  /** Its process runs, and has not reported that it is ready. */
  | "starting"
  /** It serves. */
  | "ready"
  /** It was told to accept no more connections, and finishes those that it has. */
  | "draining"
  /** It was sent SIGTERM, or SIGABRT if it hung. */
  | "stopping"
  /** It was sent SIGKILL. */
  | "killing"
  /** It has left supervision: it is never signalled again, only reaped. */
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

/** The events that a state names, and the state that an event leads to. */
type EventsOf = Readonly<Partial<Record<WorkerEvent, WorkerState>>>;

const TABLE = {
  loading: {
    loaded: "waiting",
    // A loading standby is closer to ready than a process that would start now.
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
    // It detached before it received the soft stop.
    detach: "detached",
    exit: "exited",
  },
  stopping: { kill: "killing", exit: "exited" },
  killing: { exit: "exited" },
  detached: { exit: "exited" },
  exited: {},
} as const satisfies Readonly<Record<WorkerState, EventsOf>>;

/** The table as a type, which says what an event can lead to. */
export type Transitions = typeof TABLE;

/**
 * The state that an event leads to. An event that a state does not name is ignored, since messages
 * and signals can cross.
 */
export const TRANSITIONS: Readonly<Record<WorkerState, EventsOf>> = TABLE;

/**
 * The life of a worker process as the master sees it: states, events, and one table.
 *
 * This file imports nothing. docs/design/03_worker_states.md explains it.
 *
 * @module
 */

/** Where a worker is in its life. */
export type WorkerState =
  /** A spare: its process runs; it has not said that it has loaded. */
  | "loading"
  /** A spare: it has loaded, and waits until it is needed. */
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
  | "enlist"
  | "ready"
  | "softstop"
  | "terminate"
  | "kill"
  | "detach"
  | "exit";

/** What an event leads to: the next state, or nothing. */
export type Outcome = WorkerState | "ignored";

/** Every state and every event. */
export const TRANSITIONS: Readonly<Record<WorkerState, Readonly<Record<WorkerEvent, Outcome>>>> = {
  loading: {
    loaded: "waiting",
    // It is further than any that would be started now.
    enlist: "starting",
    ready: "ignored",
    softstop: "draining",
    terminate: "stopping",
    kill: "killing",
    detach: "detached",
    exit: "exited",
  },
  waiting: {
    loaded: "ignored",
    enlist: "starting",
    ready: "ignored",
    softstop: "draining",
    terminate: "stopping",
    kill: "killing",
    detach: "detached",
    exit: "exited",
  },
  starting: {
    // It was enlisted before it had said so.
    loaded: "ignored",
    enlist: "ignored",
    ready: "ready",
    softstop: "draining",
    terminate: "stopping",
    kill: "killing",
    detach: "detached",
    exit: "exited",
  },
  ready: {
    loaded: "ignored",
    enlist: "ignored",
    ready: "ignored",
    softstop: "draining",
    terminate: "stopping",
    kill: "killing",
    detach: "detached",
    exit: "exited",
  },
  draining: {
    loaded: "ignored",
    enlist: "ignored",
    // Messages can cross on their way.
    ready: "ignored",
    softstop: "ignored",
    terminate: "stopping",
    kill: "killing",
    // It detached before the word reached it, and a detached server heeds that word no more.
    detach: "detached",
    exit: "exited",
  },
  stopping: {
    loaded: "ignored",
    enlist: "ignored",
    ready: "ignored",
    softstop: "ignored",
    terminate: "ignored",
    kill: "killing",
    detach: "ignored",
    exit: "exited",
  },
  killing: {
    loaded: "ignored",
    enlist: "ignored",
    ready: "ignored",
    softstop: "ignored",
    terminate: "ignored",
    kill: "ignored",
    detach: "ignored",
    exit: "exited",
  },
  detached: {
    loaded: "ignored",
    enlist: "ignored",
    ready: "ignored",
    softstop: "ignored",
    terminate: "ignored",
    kill: "ignored",
    detach: "ignored",
    exit: "exited",
  },
  exited: {
    loaded: "ignored",
    enlist: "ignored",
    ready: "ignored",
    softstop: "ignored",
    terminate: "ignored",
    kill: "ignored",
    detach: "ignored",
    exit: "ignored",
  },
};

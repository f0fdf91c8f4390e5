/**
 * A worker, with one record for each of its states, and the changes from one state to the next. Pure.
 *
 * docs/design/03_worker_states.md explains it.
 *
 * @module
 */
import type { Listener } from "./listener.ts";
import type { ResolvedService } from "./resolved_service.ts";
import { TRANSITIONS, type Transitions, type WorkerEvent, type WorkerState } from "./states.ts";

/** The recent failures and starts of a slot; a worker's history goes on to its replacement. */
export interface RestartHistory {
  /** How many processes in a row have ended early. */
  readonly early: number;
  /** The delay from one start to the next; 0 without one. */
  readonly delayMs: number;
  /** The next start is not before this. */
  readonly startAtMs: number;
  /** The times of the starts that count for `server-start-limit`. */
  readonly starts: readonly number[];
}

/**
 * One process, from its start to its end: what it has in every state. The object stays the same in
 * all of them; only {@linkcode advance} and {@linkcode activate} change the state.
 */
export interface Worker {
  /** Unique in the life of this master; unlike a pid never used again. */
  readonly id: number;
  readonly pid: number;
  /** The generation of its version. */
  readonly generation: number;
  readonly config: ResolvedService;
  /** Its slot among the processes of its version; a standby gets it in {@linkcode activate}. */
  slot: number;
  /**
   * The listeners of that slot, in the order of the service's addresses; borrowed. A standby has
   * none.
   */
  listeners: readonly Listener[];
  /** When it was started, or when it was activated as a standby. */
  startedAtMs: number;
  /** The restart history that it has taken over; an empty one for a standby. */
  history: RestartHistory;
  /** Its state, with what is known in that state only. */
  life: Life;
}

/** A worker that is in one of these states. */
export type WorkerIn<State extends WorkerState> = Worker & { life: LifeIn<State> };

/** The state of a worker, with its data. */
export type Life =
  | Loading
  | Waiting
  | Starting
  | Ready
  | Draining
  | Stopping
  | Killing
  | Detached
  | Exited;

/** The heartbeats of a worker. */
export interface Heartbeats {
  /** Until when it may be silent. */
  readonly silentUntilMs: number;
  /** Whether it was silent for too long at the last check. */
  readonly suspected: boolean;
}

/** What a worker has until it is sent a signal. */
interface Unsignalled {
  /** When it is sent SIGTERM; infinity without such a time. */
  deadlineMs: number;
  /** Undefined while it has sent none. */
  heartbeats?: Heartbeats;
}

/** A standby that loads. */
interface Loading extends Unsignalled {
  readonly state: "loading";
  /** Until when it has to have loaded; infinity without a limit. */
  readonly readyByMs: number;
}

/** A standby that has loaded. */
interface Waiting extends Unsignalled {
  readonly state: "waiting";
  readonly loadedAtMs: number;
}

/** Why a working process is replaced. */
export type RecycleReason = "age" | "connections" | "memory" | "listener";

/** What a worker has that counts for the number of processes. */
interface Serving extends Unsignalled {
  /** Whether a client uses it; undefined while it has not reported. */
  used?: boolean;
  /** Whether it has ever reported that a client uses it. */
  worked: boolean;
  /** Why it is to be recycled; undefined while it is not. */
  recycleReason?: RecycleReason;
  /** Whether one of its listeners was closed because it had become useless. */
  lostListener: boolean;
}

/** A worker that becomes ready. */
interface Starting extends Serving {
  readonly state: "starting";
  /** Until when it has to be ready; infinity without a limit. */
  readonly readyByMs: number;
  /** Its past as a standby, if it was one, and when it had loaded as one. */
  readonly standby?: { readonly loadedAtMs?: number };
}

/** The limits of a worker that has become ready. */
export interface ReadyLimits {
  /** When it reaches its maximum age; infinity without one. */
  readonly oldAtMs: number;
  /** Undefined if its memory is not measured. */
  memory?: MemoryWatch;
}

/** The measurements of a worker's memory. */
export interface MemoryWatch {
  /** When it is measured next. */
  readonly measureAtMs: number;
  /** Since when it has used too much; undefined while it does not. */
  readonly exceededSinceMs?: number;
}

/** A worker that serves. */
interface Ready extends Serving, ReadyLimits {
  readonly state: "ready";
  readonly readyAtMs: number;
}

/** What is known of a worker that is to end. */
interface Leaving {
  /** Whether it has reported that it accepts no more connections. */
  saysDraining: boolean;
}

/** A worker that finishes its connections. */
interface Draining extends Unsignalled, Leaving {
  readonly state: "draining";
  /** Whether it was started as a standby, and has not been ready since. */
  neverServed: boolean;
  /** Whether it has been ready. */
  wasReady: boolean;
  /** Whether it was not told to. */
  readonly ofOwnAccord: boolean;
}

/** A worker that was sent SIGTERM or SIGABRT. */
interface Stopping extends Leaving {
  readonly state: "stopping";
  /** When it is sent SIGKILL. */
  deadlineMs: number;
}

/** A worker that was sent SIGKILL. */
interface Killing extends Leaving {
  readonly state: "killing";
}

/** A worker that has left supervision. */
interface Detached {
  readonly state: "detached";
}

/** A worker whose process has ended. */
interface Exited {
  readonly state: "exited";
}

/** The states that name an event, and the state that it leads to, as the table has them. */
type From<Event extends WorkerEvent> = {
  [State in WorkerState]: Event extends keyof Transitions[State] ? State : never;
}[WorkerState];
type To<Event extends WorkerEvent> = {
  [State in WorkerState]: Event extends keyof Transitions[State] ? Transitions[State][Event]
    : never;
}[WorkerState];
type LifeIn<State> = Extract<Life, { readonly state: State }>;

/** What the next state needs to know of each event. */
interface EventData {
  loaded: { readonly atMs: number };
  /** `readyByMs` is the time limit of a standby that has loaded. */
  activate: { readonly readyByMs: number };
  ready: ReadyLimits & { readonly atMs: number };
  /** `ofOwnAccord`: whether the worker was not told to. */
  softstop: { readonly deadlineMs: number; readonly ofOwnAccord: boolean };
  terminate: { readonly deadlineMs: number };
  kill: unknown;
  detach: unknown;
  exit: unknown;
}

/** An event that may change a worker's state. */
export type LifeEvent = {
  [Event in WorkerEvent]: { readonly type: Event } & EventData[Event];
}[WorkerEvent];

/** The data of the state that each event leads to; the table of transitions types all of them. */
const NEXT_LIFE: {
  readonly [Event in WorkerEvent]: (
    life: LifeIn<From<Event>>,
    data: EventData[Event],
  ) => LifeIn<To<Event>>;
} = {
  loaded: (life, { atMs }) => ({ ...unsignalled(life), state: "waiting", loadedAtMs: atMs }),
  activate: (life, { readyByMs }) => ({
    ...unsignalled(life),
    ...NOT_USED,
    state: "starting",
    // A standby that still loads keeps its time limit.
    readyByMs: life.state === "loading" ? life.readyByMs : readyByMs,
    standby: life.state === "loading" ? {} : { loadedAtMs: life.loadedAtMs },
  }),
  ready: ({ readyByMs: _, standby: __, ...life }, { atMs, oldAtMs, memory }) => ({
    ...life,
    state: "ready",
    readyAtMs: atMs,
    oldAtMs,
    memory,
  }),
  softstop: (life, { deadlineMs, ofOwnAccord }) => ({
    ...unsignalled(life),
    state: "draining",
    deadlineMs,
    ofOwnAccord,
    neverServed: neverServed(life),
    wasReady: life.state === "ready",
    saysDraining: false,
  }),
  terminate: (life, { deadlineMs }) => ({
    state: "stopping",
    deadlineMs,
    saysDraining: saysDraining(life),
  }),
  kill: (life) => ({ state: "killing", saysDraining: saysDraining(life) }),
  detach: () => ({ state: "detached" }),
  exit: () => ({ state: "exited" }),
};

/** What a worker has whose service no client has used yet. */
const NOT_USED = { worked: false, lostListener: false } as const;

function unsignalled({ deadlineMs, heartbeats }: Unsignalled): Unsignalled {
  return { deadlineMs, ...(heartbeats && { heartbeats }) };
}

/** The first state of a standby, which has to have loaded by a time. */
export function loading(readyByMs: number): Life {
  return { state: "loading", readyByMs, deadlineMs: Infinity };
}

/** The first state of a worker that is started with its listeners, and has to be ready by a time. */
export function starting(readyByMs: number): Life {
  return { ...NOT_USED, state: "starting", readyByMs, deadlineMs: Infinity };
}

/**
 * Changes a worker's state by the table of transitions.
 *
 * @param worker The worker.
 * @param event What happened.
 * @returns Whether the state names the event.
 */
export function advance(worker: Worker, event: LifeEvent): boolean {
  if (TRANSITIONS[worker.life.state][event.type] === undefined) return false;
  // The table has just said that this state names this event.
  const next = NEXT_LIFE[event.type] as (life: Life, data: LifeEvent) => Life;
  worker.life = next(worker.life, event);
  return true;
}

/**
 * Makes a standby a serving worker; its life counts from here on. Any other worker is left alone.
 *
 * @param worker The standby.
 * @param given What it serves, the time, its restart history, and until when it has to be ready if
 * it has loaded.
 */
export function activate(
  worker: Worker,
  { readyByMs, ...given }:
    & Pick<Worker, "slot" | "listeners" | "startedAtMs" | "history">
    & EventData["activate"],
): void {
  if (advance(worker, { type: "activate", readyByMs })) Object.assign(worker, given);
}

/** Sets a worker's deadline, unless it has an earlier one, or its state allows no further step. */
export function limit({ life }: Worker, deadlineMs: number): void {
  if ("deadlineMs" in life) life.deadlineMs = Math.min(life.deadlineMs, deadlineMs);
}

/** Whether a worker is ready. */
export function isReady(worker: Worker): worker is WorkerIn<"ready"> {
  return worker.life.state === "ready";
}

/** Whether a worker counts for the configured number of processes. */
export function isServing(worker: Worker): worker is WorkerIn<"starting" | "ready"> {
  return worker.life.state === "starting" || worker.life.state === "ready";
}

/**
 * Whether a worker is a standby: it serves no clients, and does not count for the number of
 * processes.
 */
export function isStandby(worker: Worker): worker is WorkerIn<"loading" | "waiting"> {
  return worker.life.state === "loading" || worker.life.state === "waiting";
}

/** Whether a worker was started as a standby, and has not been ready since. */
export function neverServed(life: Life): boolean {
  switch (life.state) {
    case "loading":
    case "waiting":
      return true;
    case "starting":
      return life.standby !== undefined;
    case "draining":
      return life.neverServed;
    default:
      return false;
  }
}

/**
 * The state as an operator sees it: one that was told to stop before it was ready has nothing to
 * finish, and only ends.
 */
export function shownState(life: Life): WorkerState {
  const hasNoWork = life.state === "draining" && !life.wasReady && !life.ofOwnAccord;
  return hasNoWork ? "stopping" : life.state;
}

/** When a standby has loaded, also one that was activated since; undefined if it has not. */
export function loadedAtMs(life: Life): number | undefined {
  if (life.state === "waiting") return life.loadedAtMs;
  return life.state === "starting" ? life.standby?.loadedAtMs : undefined;
}

/** Whether the heartbeats of a worker count: it has not been sent a signal, and has not left. */
export function isWatched(
  life: Life,
): life is LifeIn<"loading" | "waiting" | "starting" | "ready" | "draining"> {
  return "deadlineMs" in life && life.state !== "stopping";
}

/** Whether a worker has reported that it accepts no more connections. */
export function saysDraining(life: Life): boolean {
  return "saysDraining" in life && life.saysDraining;
}

/** Whether a candidate worker has passed: it is ready, and has been for `server-soak`. */
export function hasPassed({ life, config }: Worker, nowMs: number): boolean {
  return life.state === "ready" && life.readyAtMs + config.soakMs <= nowMs;
}

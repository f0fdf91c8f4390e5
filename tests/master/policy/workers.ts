/** Workers in any state, for the tests of the policy. */
import { NO_HISTORY } from "../../../src/master/policy/backoff.ts";
import type { Life, Worker, WorkerIn } from "../../../src/master/policy/life.ts";
import type { WorkerState } from "../../../src/master/policy/states.ts";
import { serviceOf } from "../service_configs.ts";

const SERVING = { deadlineMs: Infinity, worked: false, lostListener: false };

const LIVES: { readonly [State in WorkerState]: WorkerIn<State>["life"] } = {
  loading: { state: "loading", deadlineMs: Infinity, readyByMs: Infinity },
  waiting: { state: "waiting", deadlineMs: Infinity, loadedAtMs: 0 },
  starting: { state: "starting", ...SERVING, readyByMs: Infinity },
  ready: { state: "ready", ...SERVING, readyAtMs: 0, oldAtMs: Infinity },
  draining: {
    state: "draining",
    deadlineMs: Infinity,
    neverServed: false,
    wasReady: true,
    ofOwnAccord: false,
    saysDraining: false,
  },
  stopping: { state: "stopping", deadlineMs: Infinity, saysDraining: false },
  killing: { state: "killing", saysDraining: false },
  detached: { state: "detached" },
  exited: { state: "exited" },
};

/** A state with its data, some of which may be given. */
export function lifeIn<State extends WorkerState>(
  state: State,
  data: Partial<WorkerIn<State>["life"]> = {},
): WorkerIn<State>["life"] {
  return { ...LIVES[state], ...data };
}

/**
 * A worker.
 *
 * @param life Its state, with or without data.
 * @param about What differs from a worker of generation 1 in slot 0.
 */
export function workerOf(
  life: Life | WorkerState,
  about: Partial<Omit<Worker, "life">> = {},
): Worker {
  return {
    id: 1,
    pid: 100,
    generation: 1,
    config: serviceOf("x"),
    slot: 0,
    listeners: [],
    startedAtMs: 0,
    history: NO_HISTORY,
    ...about,
    life: typeof life === "string" ? lifeIn(life) : life,
  };
}

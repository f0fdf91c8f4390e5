import { assert, assertEquals } from "@std/assert";
import { ownListener } from "../../../src/master/policy/listener.ts";
import { NO_HISTORY } from "../../../src/master/policy/backoff.ts";
import { TRANSITIONS, type WorkerState } from "../../../src/master/policy/states.ts";
import {
  activate,
  advance,
  hasPassed,
  isServing,
  isStandby,
  type Life,
  type Worker,
} from "../../../src/master/policy/life.ts";
import { serviceOf } from "../service_configs.ts";
import { lifeIn, workerOf } from "./workers.ts";

const EVENT_DATA = [
  { type: "loaded", atMs: 30 },
  { type: "activate", readyByMs: 90 },
  { type: "ready", atMs: 40, oldAtMs: 500, memory: { measureAtMs: 40 } },
  { type: "softstop", deadlineMs: 60, ofOwnAccord: true },
  { type: "terminate", deadlineMs: 70 },
  { type: "kill" },
  { type: "detach" },
  { type: "exit" },
] as const;
const EVENTS = EVENT_DATA.map(({ type }) => type);

/**
 * The table once more, as in the docs, in the order of EVENTS: a dash for an event that changes
 * nothing.
 */
const EXPECTED: Readonly<Record<WorkerState, readonly (WorkerState | "-")[]>> = {
  loading: ["waiting", "starting", "-", "draining", "stopping", "killing", "detached", "exited"],
  waiting: ["-", "starting", "-", "draining", "stopping", "killing", "detached", "exited"],
  starting: ["-", "-", "ready", "draining", "stopping", "killing", "detached", "exited"],
  ready: ["-", "-", "-", "draining", "stopping", "killing", "detached", "exited"],
  draining: ["-", "-", "-", "-", "stopping", "killing", "detached", "exited"],
  stopping: ["-", "-", "-", "-", "-", "killing", "-", "exited"],
  killing: ["-", "-", "-", "-", "-", "-", "-", "exited"],
  detached: ["-", "-", "-", "-", "-", "-", "-", "exited"],
  exited: ["-", "-", "-", "-", "-", "-", "-", "-"],
};

const STATES = Object.keys(EXPECTED) as WorkerState[];

function worker(state: WorkerState): Worker {
  return workerOf(state);
}

for (const state of STATES) {
  Deno.test(`TRANSITIONS has the outcome of every event for a worker that is ${state}`, () => {
    const found = EVENTS.map((event) => TRANSITIONS[state][event] ?? "-");
    assertEquals(found, EXPECTED[state]);
  });
}

Deno.test("TRANSITIONS has no other states and events", () => {
  assertEquals(Object.keys(TRANSITIONS).sort(), [...STATES].sort());
  for (const row of Object.values(TRANSITIONS)) {
    assert(Object.keys(row).every((event) => (EVENTS as readonly string[]).includes(event)));
  }
});

Deno.test("TRANSITIONS only leads from a gentler state to a harsher one, so every life ends", () => {
  const order: readonly WorkerState[] = [
    "loading",
    "waiting",
    "starting",
    "ready",
    "draining",
    "detached",
    "stopping",
    "killing",
    "exited",
  ];
  for (const from of order) {
    for (const to of Object.values(TRANSITIONS[from])) {
      assert(order.indexOf(to) > order.indexOf(from), `${from} → ${to}`);
    }
  }
});

Deno.test("TRANSITIONS leads from every state but the last to exited when the process ends", () => {
  for (const state of STATES) {
    assertEquals(TRANSITIONS[state].exit, state === "exited" ? undefined : "exited");
  }
});

/** All states that are reachable from one state. */
function reachable(from: WorkerState): WorkerState[] {
  const found = new Set([from]);
  for (const state of found) {
    for (const to of Object.values(TRANSITIONS[state])) found.add(to);
  }
  found.delete(from);
  return [...found];
}

Deno.test("TRANSITIONS leaves killing and detached only by exit, and exited not at all", () => {
  assertEquals(reachable("killing"), ["exited"]);
  assertEquals(reachable("detached"), ["exited"]);
  assertEquals(reachable("exited"), []);
});

Deno.test("TRANSITIONS never leads back to a slot that was left", () => {
  for (const state of ["draining", "stopping"] as const) {
    assert(!reachable(state).some((next) => isServing(worker(next))), state);
  }
});

Deno.test("advance() returns whether it has changed the state", () => {
  for (const state of STATES) {
    for (const event of EVENT_DATA) {
      const subject = worker(state), next = TRANSITIONS[state][event.type];
      assertEquals(advance(subject, event), next !== undefined);
      assertEquals(subject.life.state, next ?? state);
    }
  }
});

/** The state after some events, with its data. */
function lifeAfter(first: Life, ...events: readonly (typeof EVENT_DATA)[number][]): Life {
  const subject = workerOf(first);
  for (const event of events) assert(advance(subject, event), event.type);
  return subject.life;
}

const [LOADED, ACTIVATE, READY, SOFTSTOP, TERMINATE, KILL, DETACH] = EVENT_DATA;

Deno.test("advance() has a state keep what it still needs, and drop the rest", () => {
  const heartbeats = { silentUntilMs: 80, suspected: false };
  const watched = { deadlineMs: 100, heartbeats };
  const unused = { worked: false, lostListener: false };
  const loading = lifeIn("loading", { ...watched, readyByMs: 20 });
  assertEquals(lifeAfter(loading, LOADED), { ...watched, state: "waiting", loadedAtMs: 30 });
  const activated = { ...watched, ...unused, state: "starting" } as const;
  // A loaded standby gets a new time limit, and a standby that still loads keeps its own.
  assertEquals(lifeAfter(loading, LOADED, ACTIVATE), {
    ...activated,
    readyByMs: 90,
    standby: { loadedAtMs: 30 },
  });
  assertEquals(lifeAfter(loading, ACTIVATE), { ...activated, readyByMs: 20, standby: {} });
  const used = { used: true, worked: true, lostListener: true, recycleReason: "age" } as const;
  assertEquals(lifeAfter(lifeIn("starting", { ...watched, ...used }), READY), {
    ...watched,
    ...used,
    state: "ready",
    readyAtMs: 40,
    oldAtMs: 500,
    memory: { measureAtMs: 40 },
  });
  const drain = {
    heartbeats,
    deadlineMs: 60,
    state: "draining",
    ofOwnAccord: true,
    saysDraining: false,
  } as const;
  const standby = { ...drain, neverServed: true, wasReady: false };
  const started = { ...drain, neverServed: false, wasReady: false };
  assertEquals(lifeAfter(loading, SOFTSTOP), standby);
  assertEquals(lifeAfter(loading, ACTIVATE, SOFTSTOP), standby);
  assertEquals(lifeAfter(lifeIn("starting", watched), SOFTSTOP), started);
  assertEquals(lifeAfter(loading, ACTIVATE, READY, SOFTSTOP), { ...started, wasReady: true });
  const draining = lifeIn("draining", { saysDraining: true });
  const stopping = { state: "stopping", deadlineMs: 70, saysDraining: true } as const;
  assertEquals(lifeAfter(draining, TERMINATE), stopping);
  assertEquals(lifeAfter(draining, TERMINATE, KILL), { state: "killing", saysDraining: true });
  assertEquals(lifeAfter(draining, DETACH), { state: "detached" });
});

Deno.test("isServing() counts starting and ready workers, and no others", () => {
  assertEquals(STATES.filter((state) => isServing(worker(state))), ["starting", "ready"]);
});

Deno.test("isStandby() counts loading and waiting workers, and no others", () => {
  assertEquals(STATES.filter((state) => isStandby(worker(state))), ["loading", "waiting"]);
});

Deno.test("activate() gives a standby its assignment, and leaves any other worker alone", () => {
  const listener = ownListener({ kind: "unix", key: "unix:/run/x" }, { fd: 9 });
  const history = { ...NO_HISTORY, early: 3 };
  const filled = { slot: 3, listeners: [listener], startedAtMs: 70, history };
  for (const state of STATES) {
    const subject = worker(state), before = { ...subject };
    activate(subject, { ...filled, readyByMs: 90 });
    assertEquals(subject.life.state, isStandby(before) ? "starting" : state);
    const expected = isStandby(before) ? { ...before, ...filled, life: subject.life } : before;
    assertEquals(subject, expected, state);
  }
});

Deno.test("hasPassed() requires a worker to be ready, and to have lived for its soak since", () => {
  const config = serviceOf("x", { settings: { "server-soak": "5" } });
  const starting = { ...worker("starting"), config };
  assert(!hasPassed(starting, 1_000_000));
  const ready = { ...workerOf(lifeIn("ready", { readyAtMs: 1_000 })), config };
  assert(!hasPassed(ready, 5_999));
  assert(hasPassed(ready, 6_000));
  assert(hasPassed({ ...ready, config: serviceOf("x") }, 1_000), "without a soak, at once");
});

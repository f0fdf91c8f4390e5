import { assert, assertEquals } from "@std/assert";
import { NO_HISTORY } from "../../../src/master/policy/backoff.ts";
import { TRANSITIONS, type WorkerState } from "../../../src/master/policy/states.ts";
import {
  activate,
  advance,
  hasPassed,
  isServing,
  isStandby,
  type Worker,
} from "../../../src/master/policy/model.ts";
import { serviceOf } from "../service_configs.ts";

const EVENTS = [
  "loaded",
  "activate",
  "ready",
  "softstop",
  "terminate",
  "kill",
  "detach",
  "exit",
] as const;

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
  const about = { id: 1, pid: 100, generation: 1, slot: 0, listeners: [], history: NO_HISTORY };
  return { ...about, config: serviceOf("x"), startedAtMs: 0, state };
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
    for (const event of EVENTS) {
      const subject = worker(state), next = TRANSITIONS[state][event];
      assertEquals(advance(subject, event), next !== undefined);
      assertEquals(subject.state, next ?? state);
    }
  }
});

Deno.test("isServing() counts starting and ready workers, and no others", () => {
  assertEquals(STATES.filter((state) => isServing(worker(state))), ["starting", "ready"]);
});

Deno.test("isStandby() counts loading and waiting workers, and no others", () => {
  assertEquals(STATES.filter((state) => isStandby(worker(state))), ["loading", "waiting"]);
});

Deno.test("activate() gives a standby its assignment, and leaves any other worker alone", () => {
  const filled = { slot: 3, listeners: [{ fd: 9 }], startedAtMs: 70, history: NO_HISTORY };
  for (const state of STATES) {
    const subject = worker(state), before = { ...subject };
    activate(subject, filled);
    const expected = isStandby(before) ? { ...before, ...filled, state: "starting" } : before;
    assertEquals(subject, expected as Worker, state);
  }
});

Deno.test("hasPassed() requires a worker to be ready, and to have lived for its soak since", () => {
  const config = serviceOf("x", { settings: { "server-soak": "5" } });
  const starting: Worker = { ...worker("starting"), config };
  assert(!hasPassed(starting, 1_000_000));
  const ready: Worker = { ...worker("ready"), config, readyAtMs: 1_000 };
  assert(!hasPassed(ready, 5_999));
  assert(hasPassed(ready, 6_000));
  assert(hasPassed({ ...ready, config: serviceOf("x") }, 1_000), "without a soak, at once");
});

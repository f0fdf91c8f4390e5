import { assert, assertEquals } from "@std/assert";
import {
  type Action,
  decide,
  EARLY_DEATH_MS,
  nextStartMs,
  TERMINATE_GRACE_MS,
} from "../../src/master/policy.ts";
import type { WorkerState } from "../../src/master/states.ts";
import { advance, type Service, type Worker } from "../../src/master/tables.ts";
import { serviceOf } from "./service_configs.ts";

const NOW = 1_000_000;
const GENERATION = 7;

interface Some {
  readonly state: WorkerState;
  /** Whether it is of the generation in force; default yes. */
  readonly current?: boolean;
  /** Its deadline, from now. */
  readonly inMs?: number;
}

interface Situation {
  readonly name: string;
  readonly procCount?: number;
  readonly retired?: boolean;
  /** When the service may start something, from now. */
  readonly startInMs?: number;
  readonly workers: readonly Some[];
  /** What is to be done: `start 2`, or a worker's place in the list and what to do with it. */
  readonly actions: readonly string[];
  /** When to look again, from now. */
  readonly wakeInMs?: number;
}

const READY: Some = { state: "ready" };
const STARTING: Some = { state: "starting" };
const OLD: Some = { state: "ready", current: false };
const OLD_STARTING: Some = { state: "starting", current: false };

const SITUATIONS: readonly Situation[] = [
  { name: "a new service starts all at once", procCount: 3, workers: [], actions: ["start 3"] },
  { name: "a service of 0 processes starts none", procCount: 0, workers: [], actions: [] },
  {
    name: "what is missing is started, and no more",
    procCount: 3,
    workers: [READY, STARTING],
    actions: ["start 1"],
  },
  { name: "a full service is left alone", procCount: 2, workers: [READY, STARTING], actions: [] },
  {
    name: "who drains, is stopped, is killed or has detached holds no place",
    procCount: 2,
    workers: [
      { state: "draining" },
      { state: "stopping", inMs: 5 },
      { state: "killing" },
      { state: "detached" },
      READY,
    ],
    actions: ["start 1"],
    wakeInMs: 5,
  },
  {
    name: "a service that may not start yet waits for that",
    procCount: 2,
    startInMs: 60,
    workers: [READY],
    actions: [],
    wakeInMs: 60,
  },
  {
    name: "a full service waits for no start",
    procCount: 1,
    startInMs: 60,
    workers: [READY],
    actions: [],
  },
  {
    name: "the old ones stay while a new one is not there",
    procCount: 2,
    workers: [OLD, OLD, READY],
    actions: ["start 1"],
  },
  {
    name: "the old ones stay while a new one is not ready",
    procCount: 2,
    workers: [OLD, OLD, READY, STARTING],
    actions: [],
  },
  {
    name: "an old one that never served goes at once where another old one serves",
    workers: [OLD, { state: "starting", current: false }, STARTING],
    actions: ["1 softstop"],
  },
  {
    name: "an old one that never served stays where no other old one serves",
    workers: [{ state: "starting", current: false }, STARTING],
    actions: [],
  },
  {
    name: "the old ones go when all new ones are ready",
    procCount: 2,
    workers: [OLD, OLD_STARTING, READY, READY],
    actions: ["0 softstop", "1 softstop"],
  },
  {
    name:
      "old ones that don't serve go as soon as another old one does, lest they become ever more",
    procCount: 2,
    workers: [OLD, OLD_STARTING, OLD_STARTING, STARTING],
    actions: ["start 1", "1 softstop", "2 softstop"],
  },
  {
    name: "old ones that don't serve stay while nobody else does",
    procCount: 2,
    workers: [OLD_STARTING, OLD_STARTING, STARTING],
    actions: ["start 1"],
  },
  {
    name: "old ones that are on their way already are told nothing twice",
    workers: [
      { state: "draining", current: false },
      { state: "detached", current: false },
      { state: "killing", current: false },
      READY,
    ],
    actions: [],
  },
  {
    name: "with a new count of 0 the old ones go at once",
    procCount: 0,
    workers: [OLD],
    actions: ["0 softstop"],
  },
  {
    name: "a retired service soft-stops all of its workers, old and new, and starts none",
    retired: true,
    procCount: 3,
    workers: [READY, STARTING, OLD],
    actions: ["0 softstop", "1 softstop", "2 softstop"],
  },
  {
    name: "a retired service waits for no start",
    retired: true,
    startInMs: 60,
    workers: [{ state: "draining" }],
    actions: [],
  },
  {
    name: "a deadline that is over is SIGTERM first",
    workers: [{ state: "draining", inMs: -1 }, READY],
    actions: ["0 terminate"],
  },
  {
    name: "a deadline counts as over at its very time",
    workers: [{ state: "draining", inMs: 0 }, READY],
    actions: ["0 terminate"],
  },
  {
    name: "a second deadline that is over is SIGKILL",
    workers: [{ state: "stopping", inMs: -1 }, READY],
    actions: ["0 kill"],
  },
  {
    name: "a worker whose time is over holds no place any more",
    workers: [{ state: "ready", inMs: -1 }],
    actions: ["0 terminate", "start 1"],
  },
  {
    name: "an old worker whose time is over is not soft-stopped as well",
    workers: [{ ...OLD, inMs: -1 }, READY],
    actions: ["0 terminate"],
  },
  {
    name: "a worker whose time is not over holds its place until then",
    workers: [{ state: "ready", inMs: 40 }],
    actions: [],
    wakeInMs: 40,
  },
  {
    name: "the earliest of all times counts",
    procCount: 2,
    startInMs: 70,
    workers: [{ state: "draining", inMs: 90 }, { state: "stopping", inMs: 80 }, READY],
    actions: [],
    wakeInMs: 70,
  },
];

function serviceIn({ procCount = 1, retired = false, startInMs = 0, workers }: Situation): Service {
  const all = workers.map(({ state, current = true, inMs }, index): Worker => ({
    id: index,
    pid: 100 + index,
    generation: current ? GENERATION : GENERATION - 1,
    startedAtMs: NOW - 1_000,
    state,
    ...(inMs === undefined ? {} : { deadlineMs: NOW + inMs }),
  }));
  return {
    config: serviceOf("x", { procCount }),
    generation: GENERATION,
    retired,
    startAtMs: NOW + startInMs,
    workers: new Set(all),
  };
}

const show = (action: Action): string =>
  action.do === "start" ? `start ${action.count}` : `${action.worker.id} ${action.do}`;

/** What the supervisor does about an action, as far as the tables tell. */
function perform(service: Service, action: Action): void {
  if (action.do !== "start") {
    assert(advance(action.worker, action.do), `${show(action)} means nothing to its worker`);
    action.worker.deadlineMs = action.do === "terminate" ? NOW + TERMINATE_GRACE_MS : undefined;
    return;
  }
  for (let count = 0; count < action.count; count++) {
    const id = 1_000 + service.workers.size;
    service.workers.add({
      id,
      pid: id,
      generation: service.generation,
      startedAtMs: NOW,
      state: "starting",
    });
  }
}

for (const situation of SITUATIONS) {
  Deno.test(`decide(): ${situation.name}`, () => {
    const service = serviceIn(situation);
    const { actions, wakeAtMs } = decide(service, NOW);
    assertEquals(actions.map(show), situation.actions);
    assertEquals(wakeAtMs === undefined ? undefined : wakeAtMs - NOW, situation.wakeInMs);
  });

  Deno.test(`decide() asks for nothing more when this is done: ${situation.name}`, () => {
    const service = serviceIn(situation);
    for (const action of decide(service, NOW).actions) perform(service, action);
    assertEquals(decide(service, NOW).actions.map(show), []);
  });
}

Deno.test("decide() changes nothing by itself", () => {
  for (const situation of SITUATIONS) {
    const service = serviceIn(situation);
    const before = structuredClone([...service.workers]);
    decide(service, NOW);
    assertEquals([...service.workers], before);
  }
});

Deno.test("nextStartMs() delays the next start only after a life that was too short", () => {
  const [worker] = serviceIn({ name: "", workers: [READY], actions: [] }).workers;
  const bornAgo = (ms: number) => nextStartMs({ ...worker, startedAtMs: NOW - ms }, NOW) - NOW;
  assertEquals(bornAgo(0), EARLY_DEATH_MS);
  assertEquals(bornAgo(EARLY_DEATH_MS - 1), EARLY_DEATH_MS);
  assertEquals(bornAgo(EARLY_DEATH_MS), 0);
  assertEquals(bornAgo(60_000), 0);
});

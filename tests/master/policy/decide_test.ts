import { assert, assertEquals } from "@std/assert";
import type { ResolvedService } from "../../../src/master/policy/resolved_service.ts";
import type { Action } from "../../../src/master/policy/decision.ts";
import { decide } from "../../../src/master/policy/decide.ts";
import { TERMINATE_GRACE_MS } from "../../../src/master/policy/timeouts.ts";
import { NO_HISTORY } from "../../../src/master/policy/backoff.ts";
import { CALM_MS } from "../../../src/master/policy/standby.ts";
import { SUSPECT_MS } from "../../../src/master/policy/watchdog.ts";
import type { WorkerState } from "../../../src/master/policy/states.ts";
import { activate, advance, type Life, type Worker } from "../../../src/master/policy/life.ts";
import { newService, type Service } from "../../../src/master/policy/model.ts";
import { readyByMs } from "../../../src/master/policy/readiness.ts";
import { serviceOf } from "../service_configs.ts";
import { lifeIn, workerOf } from "./workers.ts";

const NOW = 1_000_000;

/** The generations: two old ones, the current one, an undone one, the candidate. */
const GENERATIONS = { ancient: 5, old: 6, current: 7, undone: 8, candidate: 9 } as const;

interface Some {
  readonly state: WorkerState;
  /** Its version; the current one by default. */
  readonly of?: keyof typeof GENERATIONS;
  /** How long it has been ready; a second by default if it is `ready`. */
  readonly readyMs?: number;
  /** How long ago it was started; a second by default. */
  readonly ageMs?: number;
  /** Its deadline, from now. */
  readonly inMs?: number;
  /** Its slot, the first one by default. */
  readonly slot?: number;
  /** It was started as a standby and has not been ready since. */
  readonly neverServed?: boolean;
  /** Until when an activated standby has to be ready, from now. */
  readonly readyInMs?: number;
  /** It drains without having been told to. */
  readonly ofOwnAccord?: boolean;
  /** It was silent for too long at the last check. */
  readonly silent?: boolean;
}

interface CandidateState {
  readonly procCount?: number;
  /** When it may start processes, from now. */
  readonly startInMs?: number;
  readonly left?: number;
  readonly failure?: string;
}

interface Situation {
  readonly name: string;
  readonly procCount?: number;
  /** There is no current version. */
  readonly retired?: boolean;
  /** The candidate, if there is one. */
  readonly candidate?: CandidateState;
  /** Settings of all versions beside the ready time-out of 30 s, without `server-`. */
  readonly step?: number;
  readonly soak?: number;
  readonly readyTimeout?: number;
  readonly standbys?: number;
  /** When the next standby may be started, from now. */
  readonly standbyInMs?: number;
  /** Why the service has failed. */
  readonly failure?: string;
  readonly maxGenerations?: number;
  /** When the service may start processes, from now. */
  readonly startInMs?: number;
  readonly workers: readonly Some[];
  /**
   * The expected actions: `start 2`, `try 2` for the candidate, or a worker's index in the list
   * with an action.
   */
  readonly actions: readonly string[];
  /** When to decide again, from now. */
  readonly wakeInMs?: number;
  /** The outcome; `open` by default, if there is a candidate. */
  readonly outcome?: string;
}

const READY: Some = { state: "ready" };
const STARTING: Some = { state: "starting" };
const DRAINING: Some = { state: "draining" };
const OLD: Some = { state: "ready", of: "old" };
const OLD_STARTING: Some = { state: "starting", of: "old" };
const NEW: Some = { state: "ready", of: "candidate" };
const NEW_STARTING: Some = { state: "starting", of: "candidate" };
const WAITING: Some = { state: "waiting" };
const UNDONE: Some = { state: "ready", of: "undone" };

const SLOTS: readonly Situation[] = [
  { name: "a new service starts all at once", procCount: 3, workers: [], actions: ["start 3"] },
  { name: "a service of 0 processes starts none", procCount: 0, workers: [], actions: [] },
  {
    name: "missing processes are started, and no more",
    procCount: 3,
    workers: [READY, STARTING],
    actions: ["start 1"],
    wakeInMs: 29_000,
  },
  {
    name: "a complete service is left alone",
    procCount: 2,
    workers: [READY, STARTING],
    actions: [],
    wakeInMs: 29_000,
  },
  {
    name: "draining, stopping, killed and detached processes do not count",
    procCount: 2,
    workers: [
      DRAINING,
      { state: "stopping", inMs: 5 },
      { state: "killing" },
      { state: "detached" },
      READY,
    ],
    actions: ["start 1"],
    wakeInMs: 5,
  },
  {
    name: "a service waits until it may start processes",
    procCount: 2,
    startInMs: 60,
    workers: [READY],
    actions: [],
    wakeInMs: 60,
  },
  {
    name: "a complete service waits for no start",
    startInMs: 60,
    workers: [READY],
    actions: [],
  },
  {
    name: "a retired service soft-stops all of its workers, old and new, and starts none",
    retired: true,
    workers: [READY, STARTING, OLD, UNDONE],
    actions: ["0 softstop", "1 softstop", "2 softstop", "3 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "a retired service waits for no start",
    retired: true,
    startInMs: 60,
    workers: [DRAINING],
    actions: [],
  },
];

/** Processes that have left their slots and still run. */
const left = (count: number, some: Some) => new Array<Some>(count).fill(some);
const LEAVER: Some = { state: "draining", of: "ancient", ofOwnAccord: true };

const LEAVERS: readonly Situation[] = [
  {
    name: "63 processes that drain of their own accord hold no start back",
    workers: left(63, LEAVER),
    actions: ["start 1"],
  },
  {
    name: "64 processes that drain of their own accord hold starts back",
    workers: left(64, LEAVER),
    actions: [],
  },
  {
    name: "64 processes that drain of their own accord hold standbys back",
    standbys: 1,
    workers: [READY, ...left(64, LEAVER)],
    actions: [],
  },
  {
    name: "standbys that drain of their own accord count as well",
    workers: left(64, { ...LEAVER, neverServed: true }),
    actions: [],
  },
  {
    name: "detached processes and those that drain of their own accord count together",
    workers: [...left(32, LEAVER), ...left(32, { state: "detached", of: "old" })],
    actions: [],
  },
  {
    name: "a service of 50 processes has a bound of 100",
    procCount: 50,
    workers: [...left(99, LEAVER), ...left(49, READY)],
    actions: ["start 1"],
  },
  {
    name: "processes that were told to drain hold no start back, however many reloads there were",
    workers: [...left(100, DRAINING), ...left(100, { state: "draining", of: "old" })],
    actions: ["start 1"],
  },
  {
    name: "a reload starts its candidate beside 64 processes that drain of their own accord",
    candidate: { procCount: 1 },
    workers: [READY, ...left(64, LEAVER)],
    actions: ["try 1"],
  },
  {
    name: "processes that drain of their own accord are bound by their generations as well",
    maxGenerations: 1,
    workers: [READY, { ...LEAVER, of: "old" }, LEAVER],
    actions: ["2 terminate"],
  },
];

const DEADLINES: readonly Situation[] = [
  {
    name: "a passed deadline leads to SIGTERM first",
    workers: [{ state: "draining", inMs: -1 }, READY],
    actions: ["0 terminate"],
  },
  {
    name: "a deadline has passed at exactly its time",
    workers: [{ state: "draining", inMs: 0 }, READY],
    actions: ["0 terminate"],
  },
  {
    name: "a second passed deadline leads to SIGKILL",
    workers: [{ state: "stopping", inMs: -1 }, READY],
    actions: ["0 kill"],
  },
  {
    name: "a worker whose deadline has passed does not count",
    workers: [{ state: "ready", inMs: -1 }],
    actions: ["0 terminate", "start 1"],
  },
  {
    name: "an old worker whose deadline has passed is not soft-stopped as well",
    workers: [{ ...OLD, inMs: -1 }, READY],
    actions: ["0 terminate"],
  },
  {
    name: "a worker counts until its deadline has passed",
    workers: [{ state: "ready", inMs: 40 }],
    actions: [],
    wakeInMs: 40,
  },
  {
    name: "the earliest time is the wake time",
    procCount: 2,
    startInMs: 70,
    workers: [{ state: "draining", inMs: 90 }, { state: "stopping", inMs: 80 }, READY],
    actions: [],
    wakeInMs: 70,
  },
];

const ROLLOUTS: readonly Situation[] = [
  {
    name: "a candidate is started beside the current version, all workers at once",
    procCount: 2,
    candidate: { procCount: 3 },
    workers: [READY, READY],
    actions: ["try 3"],
  },
  {
    name: "a candidate is started where there is no current version",
    retired: true,
    candidate: { procCount: 2 },
    workers: [],
    actions: ["try 2"],
  },
  {
    name: "the current version is kept complete during a rollout",
    procCount: 2,
    candidate: { procCount: 2 },
    workers: [READY, NEW, NEW_STARTING],
    actions: ["start 1"],
    wakeInMs: 29_000,
  },
  {
    name: "no worker is stopped while a candidate worker is not ready",
    procCount: 2,
    candidate: { procCount: 2 },
    workers: [READY, READY, NEW, NEW_STARTING],
    actions: [],
    wakeInMs: 29_000,
  },
  {
    name: "a rollout has passed when all candidate workers are ready",
    candidate: { procCount: 2 },
    workers: [READY, NEW, NEW],
    actions: [],
    outcome: "passed",
  },
  {
    name: "a rollout of 0 processes has passed from the beginning",
    candidate: { procCount: 0 },
    workers: [READY],
    actions: [],
    outcome: "passed",
  },
  {
    name: "a delay of the candidate's starts does not delay the current version",
    procCount: 2,
    candidate: { startInMs: 50 },
    workers: [READY],
    actions: ["start 1"],
    wakeInMs: 50,
  },
  {
    name: "a delay of the current version does not delay the candidate",
    candidate: {},
    startInMs: 50,
    workers: [],
    actions: ["try 1"],
    wakeInMs: 50,
  },
  {
    name: "a passed worker that has left counts, and is replaced",
    candidate: { procCount: 3, left: 1 },
    workers: [READY, NEW, NEW_STARTING],
    actions: ["try 1"],
    wakeInMs: 29_000,
  },
  {
    name: "a rollout passes with workers that have left, if at least one is ready",
    candidate: { procCount: 3, left: 2 },
    workers: [READY, NEW, NEW_STARTING],
    actions: ["try 1"],
    wakeInMs: 29_000,
    outcome: "passed",
  },
  {
    name: "a rollout does not pass with only workers that have left",
    candidate: { procCount: 2, left: 2 },
    workers: [READY, NEW_STARTING, NEW_STARTING],
    actions: [],
    wakeInMs: 29_000,
  },
  {
    name: "a failed rollout starts no process any more, and the current version does",
    candidate: { procCount: 2, failure: "because" },
    workers: [NEW],
    actions: ["start 1"],
    outcome: "because",
  },
  {
    name: "a candidate worker that is not ready in time is terminated, and the rollout fails",
    candidate: { procCount: 2 },
    workers: [READY, NEW, { ...NEW_STARTING, ageMs: 30_000 }],
    actions: ["2 terminate"],
  },
  {
    name: "a candidate worker may take all of its time to become ready",
    candidate: {},
    workers: [READY, { ...NEW_STARTING, ageMs: 29_999 }],
    actions: [],
    wakeInMs: 1,
  },
  {
    name: "each candidate worker has its own time to become ready",
    candidate: { procCount: 2 },
    readyTimeout: 5,
    workers: [READY, { ...NEW_STARTING, ageMs: 100 }, { ...NEW_STARTING, ageMs: 4_000 }],
    actions: [],
    wakeInMs: 1_000,
  },
  {
    name: "a ready time-out of 0 sets no limit",
    candidate: {},
    readyTimeout: 0,
    workers: [READY, { ...NEW_STARTING, ageMs: 1_000_000 }],
    actions: [],
  },
  {
    name: "a current worker that is not ready in time is terminated as well, and replaced",
    candidate: {},
    workers: [{ ...STARTING, ageMs: 30_000 }, { ...NEW_STARTING, ageMs: 10_000 }],
    actions: ["0 terminate", "start 1"],
    wakeInMs: 20_000,
  },
  {
    name: "a rollout waits for the end of the soak of each candidate worker",
    candidate: { procCount: 2 },
    soak: 10,
    workers: [READY, { ...NEW, readyMs: 9_000 }, { ...NEW, readyMs: 4_000 }],
    actions: [],
    wakeInMs: 1_000,
  },
  {
    name: "a rollout has passed exactly at the end of the last soak",
    candidate: { procCount: 2 },
    soak: 10,
    workers: [READY, { ...NEW, readyMs: 12_000 }, { ...NEW, readyMs: 10_000 }],
    actions: [],
    outcome: "passed",
  },
];

const STEPS: readonly Situation[] = [
  {
    name: "with a step only that many candidate workers are started",
    procCount: 4,
    candidate: { procCount: 4 },
    step: 2,
    workers: [READY, READY, READY, READY],
    actions: ["try 2"],
  },
  {
    name: "with a larger step than needed no surplus workers are started",
    candidate: { procCount: 2 },
    step: 9,
    workers: [READY],
    actions: ["try 2"],
  },
  {
    name: "with a step an old worker stops for each ready candidate worker, the oldest first",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, READY, READY, NEW],
    actions: ["0 softstop"],
  },
  {
    name: "with a step the old worker stops whose slot a candidate worker serves, not an older one",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, { ...READY, slot: 2 }, { ...READY, slot: 1 }, { ...NEW, slot: 2 }],
    actions: ["1 softstop"],
  },
  {
    name: "of surplus workers one stops whose slot another one serves, not an older one",
    procCount: 2,
    workers: [READY, { ...READY, slot: 1 }, { ...READY, slot: 1 }],
    actions: ["1 softstop"],
  },
  {
    name: "with a step old workers that are not ready stop first",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, STARTING, READY, NEW],
    actions: ["1 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "with a step no worker stops for a candidate worker that still soaks",
    procCount: 2,
    candidate: { procCount: 2 },
    step: 1,
    soak: 3,
    workers: [READY, READY, NEW],
    actions: [],
    wakeInMs: 2_000,
  },
  {
    name: "with a step old workers that still drain take room",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [DRAINING, READY, READY, NEW],
    actions: [],
  },
  {
    name: "with a step the next worker starts when an old one has ended",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, READY, NEW],
    actions: ["try 1"],
  },
  {
    name: "with a step detached workers and workers of earlier reloads take no room",
    procCount: 2,
    candidate: { procCount: 2 },
    step: 1,
    workers: [READY, READY, { state: "detached" }, { state: "draining", of: "old" }],
    actions: ["try 1"],
  },
  {
    name: "with a step draining workers of a failed reload take room",
    procCount: 2,
    candidate: { procCount: 2 },
    step: 1,
    workers: [READY, READY, { state: "draining", of: "undone" }],
    actions: [],
  },
  {
    name:
      "with a step the last old worker stays until the outcome, with room for all candidate workers",
    procCount: 2,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, NEW, NEW],
    actions: ["try 1"],
  },
  {
    name: "with a step the missing workers of the current version come first",
    procCount: 2,
    candidate: { procCount: 2 },
    step: 1,
    workers: [READY],
    actions: ["start 1", "try 1"],
  },
  {
    name: "with a step the greater of both counts is the limit",
    procCount: 1,
    candidate: { procCount: 4 },
    step: 1,
    workers: [READY],
    actions: ["try 4"],
  },
  {
    name: "with a step a service shrinks without exceeding its old number plus the step",
    procCount: 4,
    candidate: { procCount: 2 },
    step: 1,
    workers: [READY, READY, READY, READY],
    actions: ["try 1"],
  },
  {
    name: "with a step a new service starts at once",
    retired: true,
    candidate: { procCount: 3 },
    step: 1,
    workers: [],
    actions: ["try 3"],
  },
];

const AFTERWARDS: readonly Situation[] = [
  {
    name: "the old workers stop when all new ones are ready",
    procCount: 2,
    workers: [OLD, OLD_STARTING, READY, READY],
    actions: ["1 softstop", "0 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "an old worker stays for each new one that has ended again",
    procCount: 3,
    workers: [OLD, OLD, OLD, OLD_STARTING, READY, STARTING],
    actions: ["3 softstop", "start 1", "0 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "with a new count of 0 the old workers stop at once",
    procCount: 0,
    workers: [OLD],
    actions: ["0 softstop"],
  },
  {
    name: "old workers that stop already are not told again",
    workers: [
      { state: "draining", of: "old" },
      { state: "detached", of: "old" },
      { state: "killing", of: "old" },
      READY,
    ],
    actions: [],
  },
  {
    name: "workers of an undone reload stop at once, however few current workers there are",
    procCount: 2,
    workers: [STARTING, UNDONE, { ...UNDONE, state: "starting" }],
    actions: ["1 softstop", "2 softstop", "start 1"],
    wakeInMs: 29_000,
  },
  {
    name:
      "with a step workers of an undone reload stay as fallback for the missing current workers",
    procCount: 3,
    step: 1,
    workers: [READY, UNDONE, UNDONE, { ...UNDONE, state: "starting" }],
    actions: ["3 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "with a step the current version returns as room allows",
    procCount: 3,
    step: 1,
    workers: [READY, UNDONE, UNDONE],
    actions: ["start 1"],
  },
  {
    name: "with a step a worker of an undone reload stops when a current worker is ready again",
    procCount: 3,
    step: 1,
    workers: [READY, READY, UNDONE, UNDONE],
    actions: ["2 softstop"],
  },
  {
    name: "with a step and a complete current version, workers of an undone reload stop",
    procCount: 2,
    step: 1,
    workers: [READY, READY, UNDONE],
    actions: ["2 softstop"],
  },
  {
    name: "old generations up to the limit may drain",
    maxGenerations: 2,
    workers: [{ state: "draining", of: "ancient" }, { state: "draining", of: "old" }, READY],
    actions: [],
  },
  {
    name: "all workers of the oldest generation beyond the limit are terminated",
    maxGenerations: 1,
    workers: [
      { state: "draining", of: "old" },
      { state: "draining", of: "ancient" },
      { state: "draining", of: "ancient", inMs: 50 },
      READY,
    ],
    actions: ["1 terminate", "2 terminate"],
    wakeInMs: 50,
  },
  {
    name: "a candidate takes the room of current workers that are not ready and have a fallback",
    procCount: 3,
    step: 1,
    candidate: { procCount: 2 },
    workers: [READY, STARTING, STARTING, UNDONE, UNDONE],
    actions: ["1 softstop", "2 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "when they have left that room, or are about to, the candidate's workers start",
    procCount: 3,
    step: 1,
    candidate: { procCount: 2 },
    workers: [READY, UNDONE, UNDONE],
    actions: ["try 1"],
  },
  {
    name: "a ready current worker keeps its room, and its fallback stops",
    procCount: 2,
    step: 1,
    candidate: { procCount: 2 },
    workers: [READY, STARTING, UNDONE, UNDONE],
    actions: ["2 softstop", "1 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "a candidate takes no room from starting current workers with an old worker as fallback",
    procCount: 2,
    step: 1,
    candidate: { procCount: 2 },
    workers: [READY, STARTING, OLD],
    actions: ["try 1"],
    wakeInMs: 29_000,
  },
  {
    name: "generations that serve, have detached or are being stopped do not count",
    maxGenerations: 1,
    candidate: {},
    workers: [
      DRAINING,
      { state: "detached", of: "old" },
      { state: "stopping", of: "old", inMs: 9 },
      { state: "draining", of: "ancient" },
      { state: "draining", of: "candidate" },
      READY,
      NEW_STARTING,
    ],
    actions: [],
    wakeInMs: 9,
  },
];

const STANDBYS: readonly Situation[] = [
  {
    name: "no standby is started while a worker is missing or starts",
    procCount: 2,
    standbys: 1,
    workers: [READY],
    actions: ["start 1"],
  },
  {
    name: "a standby is started when all workers are ready",
    standbys: 1,
    workers: [READY],
    actions: ["startStandby"],
  },
  {
    name: "no standby is started before all workers have been ready for a moment",
    procCount: 2,
    standbys: 1,
    workers: [READY, { ...READY, readyMs: 5 }],
    actions: [],
    wakeInMs: CALM_MS - 5,
  },
  {
    name: "one standby loads at a time, within the ready time-out",
    standbys: 2,
    workers: [READY, { state: "loading", ageMs: 4_000 }],
    actions: [],
    wakeInMs: 26_000,
  },
  {
    name: "the next standby is started when the previous one has loaded",
    standbys: 2,
    workers: [READY, WAITING],
    actions: ["startStandby"],
  },
  {
    name: "the wanted number of standbys is left alone",
    standbys: 2,
    workers: [READY, WAITING, WAITING],
    actions: [],
  },
  {
    name: "a standby that does not load in time is terminated",
    standbys: 1,
    standbyInMs: 70,
    readyTimeout: 5,
    workers: [READY, { state: "loading", ageMs: 5_000 }],
    actions: ["1 terminate"],
  },
  {
    name: "a standby without a time-out may load for ever",
    standbys: 1,
    readyTimeout: 0,
    workers: [READY, { state: "loading", ageMs: 5_000_000 }],
    actions: [],
  },
  {
    name: "the next standby waits for its start time",
    standbys: 1,
    standbyInMs: 70,
    workers: [READY],
    actions: [],
    wakeInMs: 70,
  },
  {
    name: "a missing worker is replaced by a standby, a loaded one before a loading one",
    procCount: 2,
    standbys: 2,
    workers: [READY, { state: "loading" }, WAITING],
    actions: ["2 activate"],
    wakeInMs: 29_000,
  },
  {
    name: "a loading standby is preferred to a new process",
    standbys: 1,
    workers: [{ state: "loading" }],
    actions: ["0 activate"],
    wakeInMs: 29_000,
  },
  {
    name: "missing workers beyond the standbys are started",
    procCount: 3,
    standbys: 1,
    workers: [WAITING],
    actions: ["0 activate", "start 2"],
  },
  {
    name: "a standby that is out of reach is not activated",
    standbys: 1,
    workers: [{ ...WAITING, inMs: 40 }],
    actions: ["start 1"],
    wakeInMs: 40,
  },
  {
    name: "a service that may not start processes yet does not activate its standbys",
    standbys: 1,
    startInMs: 60,
    workers: [WAITING],
    actions: [],
    wakeInMs: 60,
  },
  {
    name: "standbys of a failed service stop",
    standbys: 1,
    failure: "because",
    workers: [READY, WAITING],
    actions: ["1 softstop"],
  },
  {
    name: "a service without processes has no standbys",
    procCount: 0,
    standbys: 1,
    workers: [],
    actions: [],
  },
  {
    name: "standbys of a version that is no longer current stop",
    standbys: 1,
    workers: [READY, { state: "waiting", of: "old" }, { state: "loading", of: "old" }, WAITING],
    actions: ["1 softstop", "2 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "standbys of a removed service stop",
    retired: true,
    standbys: 1,
    workers: [WAITING, { state: "loading" }],
    actions: ["0 softstop", "1 softstop"],
    wakeInMs: 29_000,
  },
  {
    name:
      "during a rollout standbys of the current version stay and are activated, and none is started",
    procCount: 2,
    standbys: 3,
    candidate: { procCount: 1 },
    workers: [READY, WAITING, WAITING],
    actions: ["1 activate", "try 1"],
  },
  {
    name: "a standby that has just become suspect is not activated",
    standbys: 1,
    workers: [{ ...WAITING, silent: true }],
    actions: ["0 suspect", "start 1"],
  },
  {
    name: "an activated standby has to be ready in time",
    workers: [{ ...STARTING, readyInMs: 70 }],
    actions: [],
    wakeInMs: 70,
  },
  {
    name: "an activated standby that is not ready in time is terminated",
    workers: [{ ...STARTING, readyInMs: 0 }],
    actions: ["0 terminate", "start 1"],
  },
  {
    name: "stopping standbys do not count as a draining generation",
    maxGenerations: 1,
    workers: [
      READY,
      { ...DRAINING, of: "old" },
      { ...DRAINING, of: "undone", neverServed: true },
    ],
    actions: [],
  },
  {
    name: "with a step standbys take no room",
    standbys: 3,
    step: 1,
    candidate: {},
    workers: [READY, WAITING, WAITING, WAITING],
    actions: ["try 1"],
  },
];

const SITUATIONS = [
  ...SLOTS,
  ...LEAVERS,
  ...DEADLINES,
  ...ROLLOUTS,
  ...STEPS,
  ...AFTERWARDS,
  ...STANDBYS,
];

function serviceIn(situation: Situation): Service {
  const { procCount = 1, retired, candidate, startInMs = 0, step, soak, readyTimeout } = situation;
  const { standbys, standbyInMs, failure } = situation;
  const settings = {
    ...(step && { "server-reload-step": `${step}` }),
    ...(soak && { "server-soak": `${soak}` }),
    ...(readyTimeout !== undefined && { "server-ready-timeout": `${readyTimeout}` }),
    ...(standbys && { "server-standby-count": `${standbys}` }),
  };
  const config = serviceOf("x", { procCount, settings });
  const candidateConfig = serviceOf("x", { procCount: candidate?.procCount, settings });
  return {
    ...newService("x"),
    ...(!retired && { current: { config, generation: GENERATIONS.current } }),
    ...(candidate && {
      candidate: {
        config: candidateConfig,
        generation: GENERATIONS.candidate,
        startAtMs: NOW + (candidate.startInMs ?? 0),
        left: candidate.left ?? 0,
        ...(candidate.failure && { failure: candidate.failure }),
      },
    }),
    startAtMs: NOW + startInMs,
    ...(standbyInMs && { standbyHistory: { ...NO_HISTORY, startAtMs: NOW + standbyInMs } }),
    ...(failure && { failure }),
    workers: new Set(situation.workers.map((some, id) => workerIn(some, { id, config }))),
  };
}

function workerIn(
  some: Some,
  { id, config }: { readonly id: number; readonly config: ResolvedService },
): Worker {
  const { of = "current", ageMs = 1_000, slot = 0 } = some;
  const about = { id, pid: 100 + id, generation: GENERATIONS[of], config, slot };
  const startedAtMs = NOW - ageMs;
  return workerOf(lifeOf(some, readyByMs(config, startedAtMs)), { ...about, startedAtMs });
}

function lifeOf(
  some: Some,
  startLimitMs: number,
): Life {
  const { state, readyMs = 1_000, inMs = Infinity, readyInMs, silent } = some;
  const { neverServed = false, ofOwnAccord = false } = some;
  const unsignalled = {
    deadlineMs: NOW + inMs,
    ...(silent && { heartbeats: { silentUntilMs: NOW, suspected: false } }),
  };
  switch (state) {
    case "loading":
      return lifeIn(state, { ...unsignalled, readyByMs: startLimitMs });
    case "starting": {
      const readyByMs = readyInMs === undefined ? startLimitMs : NOW + readyInMs;
      return lifeIn(state, { ...unsignalled, readyByMs, ...(neverServed && { standby: {} }) });
    }
    case "ready":
      return lifeIn(state, { ...unsignalled, readyAtMs: NOW - readyMs });
    case "draining":
      return lifeIn(state, { ...unsignalled, neverServed, ofOwnAccord });
    case "waiting":
      return lifeIn(state, unsignalled);
    case "stopping":
      return lifeIn(state, { deadlineMs: NOW + inMs });
    default:
      return lifeIn(state);
  }
}

const decideNow = (service: Service, { maxGenerations = Infinity }: Situation) =>
  decide(service, { nowMs: NOW, maxGenerations });

function show(action: Action): string {
  if (action.do === "startStandby") return "startStandby";
  if (action.do !== "start") return `${action.worker.id} ${action.do}`;
  const isCandidate = action.version.generation === GENERATIONS.candidate;
  return `${isCandidate ? "try" : "start"} ${action.count}`;
}

/** Applies an action to the model, as the supervisor would. */
function perform(service: Service, action: Action): void {
  if (action.do === "startStandby") {
    const { config, generation } = action.version;
    service.workers.add(workerIn({ state: "loading", ageMs: 0 }, { id: 2_000, config }));
    assertEquals(generation, GENERATIONS.current);
    return;
  }
  if (action.do !== "start") {
    const { worker, do: event } = action;
    if (event === "activate") {
      const given = { slot: 0, listeners: [], startedAtMs: NOW, history: NO_HISTORY };
      return activate(worker, { ...given, readyByMs: readyByMs(worker.config, NOW) });
    }
    if (event === "suspect") {
      assert("heartbeats" in worker.life);
      worker.life.heartbeats = { silentUntilMs: NOW + SUSPECT_MS, suspected: true };
      return;
    }
    assert(event === "softstop" || event === "terminate" || event === "kill", show(action));
    if (event === "terminate" && worker.generation === service.candidate?.generation) {
      service.candidate.failure = "it was lost";
    }
    const deadlineMs = event === "terminate" ? NOW + TERMINATE_GRACE_MS : Infinity;
    assert(
      advance(worker, { type: event, deadlineMs, ofOwnAccord: false }),
      `${show(action)} means nothing to its worker`,
    );
    return;
  }
  const { config, generation } = action.version;
  for (let count = 0; count < action.count; count++) {
    const id = 1_000 + service.workers.size;
    const life = lifeIn("starting", { readyByMs: readyByMs(config, NOW) });
    service.workers.add(workerOf(life, { id, pid: id, generation, config, startedAtMs: NOW }));
  }
}

for (const situation of SITUATIONS) {
  Deno.test(`decide(): ${situation.name}`, () => {
    const { actions, wakeAtMs, outcome } = decideNow(serviceIn(situation), situation);
    assertEquals(actions.map(show), situation.actions);
    assertEquals(wakeAtMs === undefined ? undefined : wakeAtMs - NOW, situation.wakeInMs);
    const told = outcome?.is === "failed" ? outcome.reason : outcome?.is;
    assertEquals(told, situation.outcome ?? (situation.candidate && "open"));
  });

  Deno.test(`decide() has no further actions after these: ${situation.name}`, () => {
    const service = serviceIn(situation);
    for (const action of decideNow(service, situation).actions) perform(service, action);
    assertEquals(decideNow(service, situation).actions.map(show), []);
  });
}

Deno.test("decide() does not change the model", () => {
  for (const situation of SITUATIONS) {
    const service = serviceIn(situation);
    const before = structuredClone({ ...service, workers: [...service.workers] });
    decideNow(service, situation);
    assertEquals({ ...service, workers: [...service.workers] }, before);
  }
});

import { assert, assertEquals } from "@std/assert";
import type { ServiceConfig } from "../../../src/config/service.ts";
import type { Action } from "../../../src/master/policy/decision.ts";
import {
  decide,
  EARLY_DEATH_MS,
  nextStartMs,
  TERMINATE_GRACE_MS,
} from "../../../src/master/policy/decide.ts";
import { NO_HISTORY } from "../../../src/master/policy/backoff.ts";
import { CALM_MS } from "../../../src/master/policy/standby.ts";
import { DOUBT_MS } from "../../../src/master/policy/watchdog.ts";
import type { WorkerState } from "../../../src/master/policy/states.ts";
import {
  activate,
  advance,
  newService,
  type Service,
  type Worker,
} from "../../../src/master/policy/model.ts";
import { serviceOf } from "../service_configs.ts";

const NOW = 1_000_000;

/** The generations: two that were in force before, the one in force, one undone, one on trial. */
const GENERATIONS = { ancient: 5, old: 6, current: 7, undone: 8, candidate: 9 } as const;

interface Some {
  readonly state: WorkerState;
  /** Its version; default the one in force. */
  readonly of?: keyof typeof GENERATIONS;
  /** How long it has been ready; one that is `ready` has been for a second by default. */
  readonly readyMs?: number;
  /** How long ago it was started; a second by default. */
  readonly ageMs?: number;
  /** Its deadline, from now. */
  readonly inMs?: number;
  /** Its slot, the first one by default. */
  readonly slot?: number;
  /** It was started as a standby and has not been enlisted. */
  readonly neverServed?: boolean;
  /** Until when it has to be ready that was a standby, from now. */
  readonly readyInMs?: number;
  /** Its last heartbeat was too long ago. */
  readonly silent?: boolean;
}

interface OnTrial {
  readonly procCount?: number;
  /** When it may start something, from now. */
  readonly startInMs?: number;
  readonly left?: number;
  readonly failure?: string;
}

interface Situation {
  readonly name: string;
  readonly procCount?: number;
  /** No version is in force. */
  readonly retired?: boolean;
  /** What is on trial, if anything. */
  readonly candidate?: OnTrial;
  /** Settings of all versions but the ready time-out of 30 s, without `server-`. */
  readonly step?: number;
  readonly soak?: number;
  readonly readyTimeout?: number;
  readonly standbys?: number;
  /** When the next standby may be started, from now. */
  readonly spareInMs?: number;
  /** Why the service has failed. */
  readonly failure?: string;
  readonly maxGenerations?: number;
  /** When the service may start something, from now. */
  readonly startInMs?: number;
  readonly workers: readonly Some[];
  /**
   * What is to be done: `start 2`, or `try 2` for the version on trial, or a worker's place in the list
   * and what to do with it.
   */
  readonly actions: readonly string[];
  /** When to look again, from now. */
  readonly wakeInMs?: number;
  /** How the trial stands; default `open`, where there is one. */
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

const PLACES: readonly Situation[] = [
  { name: "a new service starts all at once", procCount: 3, workers: [], actions: ["start 3"] },
  { name: "a service of 0 processes starts none", procCount: 0, workers: [], actions: [] },
  {
    name: "what is missing is started, and no more",
    procCount: 3,
    workers: [READY, STARTING],
    actions: ["start 1"],
    wakeInMs: 29_000,
  },
  {
    name: "a full service is left alone",
    procCount: 2,
    workers: [READY, STARTING],
    actions: [],
    wakeInMs: 29_000,
  },
  {
    name: "who drains, is stopped, is killed or has detached holds no place",
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
    name: "a service that may not start yet waits for that",
    procCount: 2,
    startInMs: 60,
    workers: [READY],
    actions: [],
    wakeInMs: 60,
  },
  {
    name: "a full service waits for no start",
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

const DEADLINES: readonly Situation[] = [
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

const TRIALS: readonly Situation[] = [
  {
    name: "a version on trial is started beside the one in force, all of it at once",
    procCount: 2,
    candidate: { procCount: 3 },
    workers: [READY, READY],
    actions: ["try 3"],
  },
  {
    name: "a version on trial is started where nothing is in force",
    retired: true,
    candidate: { procCount: 2 },
    workers: [],
    actions: ["try 2"],
  },
  {
    name: "the version in force is kept whole during a trial",
    procCount: 2,
    candidate: { procCount: 2 },
    workers: [READY, NEW, NEW_STARTING],
    actions: ["start 1"],
    wakeInMs: 29_000,
  },
  {
    name: "nobody is stopped while a new one is not ready",
    procCount: 2,
    candidate: { procCount: 2 },
    workers: [READY, READY, NEW, NEW_STARTING],
    actions: [],
    wakeInMs: 29_000,
  },
  {
    name: "a trial has passed when all new ones are ready",
    candidate: { procCount: 2 },
    workers: [READY, NEW, NEW],
    actions: [],
    outcome: "passed",
  },
  {
    name: "a trial of 0 processes has passed from the beginning",
    candidate: { procCount: 0 },
    workers: [READY],
    actions: [],
    outcome: "passed",
  },
  {
    name: "a trial may have to wait with its starts, which those in force don't",
    procCount: 2,
    candidate: { startInMs: 50 },
    workers: [READY],
    actions: ["start 1"],
    wakeInMs: 50,
  },
  {
    name: "those in force may have to wait, which a trial doesn't",
    candidate: {},
    startInMs: 50,
    workers: [],
    actions: ["try 1"],
    wakeInMs: 50,
  },
  {
    name: "a proven one that has left counts, and is replaced",
    candidate: { procCount: 3, left: 1 },
    workers: [READY, NEW, NEW_STARTING],
    actions: ["try 1"],
    wakeInMs: 29_000,
  },
  {
    name: "a trial passes with those that have left, where at least one is there",
    candidate: { procCount: 3, left: 2 },
    workers: [READY, NEW, NEW_STARTING],
    actions: ["try 1"],
    wakeInMs: 29_000,
    outcome: "passed",
  },
  {
    name: "a trial does not pass with those alone that have left",
    candidate: { procCount: 2, left: 2 },
    workers: [READY, NEW_STARTING, NEW_STARTING],
    actions: [],
    wakeInMs: 29_000,
  },
  {
    name: "a trial that has failed starts nothing any more, and those in force do",
    candidate: { procCount: 2, failure: "because" },
    workers: [NEW],
    actions: ["start 1"],
    outcome: "because",
  },
  {
    name:
      "a new one that is not ready in time is ended at that very time, by which the trial fails",
    candidate: { procCount: 2 },
    workers: [READY, NEW, { ...NEW_STARTING, ageMs: 30_000 }],
    actions: ["2 terminate"],
  },
  {
    name: "a new one may take all of its time to become ready",
    candidate: {},
    workers: [READY, { ...NEW_STARTING, ageMs: 29_999 }],
    actions: [],
    wakeInMs: 1,
  },
  {
    name: "each new one has its own time to become ready",
    candidate: { procCount: 2 },
    readyTimeout: 5,
    workers: [READY, { ...NEW_STARTING, ageMs: 100 }, { ...NEW_STARTING, ageMs: 4_000 }],
    actions: [],
    wakeInMs: 1_000,
  },
  {
    name: "a ready time-out of 0 is without limit",
    candidate: {},
    readyTimeout: 0,
    workers: [READY, { ...NEW_STARTING, ageMs: 1_000_000 }],
    actions: [],
  },
  {
    name: "one in force that is not ready in time is ended as well, and replaced",
    candidate: {},
    workers: [{ ...STARTING, ageMs: 30_000 }, { ...NEW_STARTING, ageMs: 10_000 }],
    actions: ["0 terminate", "start 1"],
    wakeInMs: 20_000,
  },
  {
    name: "a trial waits for the end of the soak of each new one",
    candidate: { procCount: 2 },
    soak: 10,
    workers: [READY, { ...NEW, readyMs: 9_000 }, { ...NEW, readyMs: 4_000 }],
    actions: [],
    wakeInMs: 1_000,
  },
  {
    name: "a trial has passed at the very end of the last soak",
    candidate: { procCount: 2 },
    soak: 10,
    workers: [READY, { ...NEW, readyMs: 12_000 }, { ...NEW, readyMs: 10_000 }],
    actions: [],
    outcome: "passed",
  },
];

const STEPS: readonly Situation[] = [
  {
    name: "with a step only so many new ones are started",
    procCount: 4,
    candidate: { procCount: 4 },
    step: 2,
    workers: [READY, READY, READY, READY],
    actions: ["try 2"],
  },
  {
    name: "with a step greater than needed no more are started than are wanted",
    candidate: { procCount: 2 },
    step: 9,
    workers: [READY],
    actions: ["try 2"],
  },
  {
    name: "with a step an old one goes for each new one that is ready, the oldest first",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, READY, READY, NEW],
    actions: ["0 softstop"],
  },
  {
    name: "with a step one goes whose slot a new one serves, and no older one",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, { ...READY, slot: 2 }, { ...READY, slot: 1 }, { ...NEW, slot: 2 }],
    actions: ["1 softstop"],
  },
  {
    name: "of too many one goes whose slot another one serves, and no older one",
    procCount: 2,
    workers: [READY, { ...READY, slot: 1 }, { ...READY, slot: 1 }],
    actions: ["1 softstop"],
  },
  {
    name: "with a step old ones that don't serve go first",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, STARTING, READY, NEW],
    actions: ["1 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "with a step nobody goes for one that has not soaked",
    procCount: 2,
    candidate: { procCount: 2 },
    step: 1,
    soak: 3,
    workers: [READY, READY, NEW],
    actions: [],
    wakeInMs: 2_000,
  },
  {
    name: "with a step old ones that still drain take room",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [DRAINING, READY, READY, NEW],
    actions: [],
  },
  {
    name: "with a step the next is started when an old one has ended",
    procCount: 3,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, READY, NEW],
    actions: ["try 1"],
  },
  {
    name: "with a step detached ones, and those of earlier reloads, take no room",
    procCount: 2,
    candidate: { procCount: 2 },
    step: 1,
    workers: [READY, READY, { state: "detached" }, { state: "draining", of: "old" }],
    actions: ["try 1"],
  },
  {
    name: "with a step those of a failed reload that still drain take room",
    procCount: 2,
    candidate: { procCount: 2 },
    step: 1,
    workers: [READY, READY, { state: "draining", of: "undone" }],
    actions: [],
  },
  {
    name: "with a step the last old one stays until the verdict, with room for all new ones",
    procCount: 2,
    candidate: { procCount: 3 },
    step: 1,
    workers: [READY, NEW, NEW],
    actions: ["try 1"],
  },
  {
    name: "with a step the missing ones of the version in force come first",
    procCount: 2,
    candidate: { procCount: 2 },
    step: 1,
    workers: [READY],
    actions: ["start 1", "try 1"],
  },
  {
    name: "with a step the greater of both counts is the usual number",
    procCount: 1,
    candidate: { procCount: 4 },
    step: 1,
    workers: [READY],
    actions: ["try 4"],
  },
  {
    name: "with a step a service shrinks without more processes than before and the step",
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
    name: "the old ones go when all new ones are ready",
    procCount: 2,
    workers: [OLD, OLD_STARTING, READY, READY],
    actions: ["1 softstop", "0 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "an old one stays for each new one that has ended again",
    procCount: 3,
    workers: [OLD, OLD, OLD, OLD_STARTING, READY, STARTING],
    actions: ["3 softstop", "start 1", "0 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "with a new count of 0 the old ones go at once",
    procCount: 0,
    workers: [OLD],
    actions: ["0 softstop"],
  },
  {
    name: "old ones that are on their way already are told nothing twice",
    workers: [
      { state: "draining", of: "old" },
      { state: "detached", of: "old" },
      { state: "killing", of: "old" },
      READY,
    ],
    actions: [],
  },
  {
    name: "those of an undone reload go at once, however few there are of the version in force",
    procCount: 2,
    workers: [STARTING, UNDONE, { ...UNDONE, state: "starting" }],
    actions: ["1 softstop", "2 softstop", "start 1"],
    wakeInMs: 29_000,
  },
  {
    name: "with a step those of an undone reload stay in the places that they have taken",
    procCount: 3,
    step: 1,
    workers: [READY, UNDONE, UNDONE, { ...UNDONE, state: "starting" }],
    actions: ["3 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "with a step the version in force comes back as there is room",
    procCount: 3,
    step: 1,
    workers: [READY, UNDONE, UNDONE],
    actions: ["start 1"],
  },
  {
    name: "with a step one of an undone reload goes when one in force is back",
    procCount: 3,
    step: 1,
    workers: [READY, READY, UNDONE, UNDONE],
    actions: ["2 softstop"],
  },
  {
    name: "with a step and all in force back, those of an undone reload go",
    procCount: 2,
    step: 1,
    workers: [READY, READY, UNDONE],
    actions: ["2 softstop"],
  },
  {
    name: "old generations up to the bound may drain",
    maxGenerations: 2,
    workers: [{ state: "draining", of: "ancient" }, { state: "draining", of: "old" }, READY],
    actions: [],
  },
  {
    name: "the oldest generation beyond the bound is ended, all of it",
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
    name: "a trial needs the room of those that are not ready where another stands in for them",
    procCount: 3,
    step: 1,
    candidate: { procCount: 2 },
    workers: [READY, STARTING, STARTING, UNDONE, UNDONE],
    actions: ["1 softstop", "2 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "those have left that room, or are about to: the trial begins",
    procCount: 3,
    step: 1,
    candidate: { procCount: 2 },
    workers: [READY, UNDONE, UNDONE],
    actions: ["try 1"],
  },
  {
    name: "one that is ready gives no room up for a trial, and who stands in for it goes",
    procCount: 2,
    step: 1,
    candidate: { procCount: 2 },
    workers: [READY, STARTING, UNDONE, UNDONE],
    actions: ["2 softstop", "1 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "a trial takes no place from those that start while an old one stands in for them",
    procCount: 2,
    step: 1,
    candidate: { procCount: 2 },
    workers: [READY, STARTING, OLD],
    actions: ["try 1"],
    wakeInMs: 29_000,
  },
  {
    name: "generations that still serve, that have detached or are stopped already don't count",
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

const SPARES: readonly Situation[] = [
  {
    name: "no standby is started while somebody is missing or starts",
    procCount: 2,
    standbys: 1,
    workers: [READY],
    actions: ["start 1"],
  },
  {
    name: "a standby is started when all are ready",
    standbys: 1,
    workers: [READY],
    actions: ["startStandby"],
  },
  {
    name: "no standby is started before all have been ready for a moment",
    procCount: 2,
    standbys: 1,
    workers: [READY, { ...READY, readyMs: 5 }],
    actions: [],
    wakeInMs: CALM_MS - 5,
  },
  {
    name: "one standby loads at a time, and has as long as a new process of a reload",
    standbys: 2,
    workers: [READY, { state: "loading", ageMs: 4_000 }],
    actions: [],
    wakeInMs: 26_000,
  },
  {
    name: "the next standby is started when the one before has loaded",
    standbys: 2,
    workers: [READY, WAITING],
    actions: ["startStandby"],
  },
  {
    name: "as many standbys as there are to be are left alone",
    standbys: 2,
    workers: [READY, WAITING, WAITING],
    actions: [],
  },
  {
    name: "a standby that does not load in time is ended",
    standbys: 1,
    spareInMs: 70,
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
    name: "the next standby waits for its time",
    standbys: 1,
    spareInMs: 70,
    workers: [READY],
    actions: [],
    wakeInMs: 70,
  },
  {
    name: "who is missing is a standby first, and one that has loaded before one that has not",
    procCount: 2,
    standbys: 2,
    workers: [READY, { state: "loading" }, WAITING],
    actions: ["2 activate"],
    wakeInMs: 29_000,
  },
  {
    name: "a standby that still loads is further than one that would be started",
    standbys: 1,
    workers: [{ state: "loading" }],
    actions: ["0 activate"],
    wakeInMs: 29_000,
  },
  {
    name: "what no standby is there for is started",
    procCount: 3,
    standbys: 1,
    workers: [WAITING],
    actions: ["0 activate", "start 2"],
  },
  {
    name: "a standby that is out of reach takes no place",
    standbys: 1,
    workers: [{ ...WAITING, inMs: 40 }],
    actions: ["start 1"],
    wakeInMs: 40,
  },
  {
    name: "a service that may not start yet keeps its standbys until then",
    standbys: 1,
    startInMs: 60,
    workers: [WAITING],
    actions: [],
    wakeInMs: 60,
  },
  {
    name: "standbys of a service that has failed go",
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
    name: "standbys of a version that is in force no more go",
    standbys: 1,
    workers: [READY, { state: "waiting", of: "old" }, { state: "loading", of: "old" }, WAITING],
    actions: ["1 softstop", "2 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "standbys of a service that is gone go",
    retired: true,
    standbys: 1,
    workers: [WAITING, { state: "loading" }],
    actions: ["0 softstop", "1 softstop"],
    wakeInMs: 29_000,
  },
  {
    name: "during a trial standbys of the version in force stay and take over, and none is started",
    procCount: 2,
    standbys: 3,
    candidate: { procCount: 1 },
    workers: [READY, WAITING, WAITING],
    actions: ["1 activate", "try 1"],
  },
  {
    name: "a standby that is doubted just now takes no place",
    standbys: 1,
    workers: [{ ...WAITING, silent: true }],
    actions: ["0 suspect", "start 1"],
  },
  {
    name: "a standby that was enlisted has to be ready in time",
    workers: [{ ...STARTING, readyInMs: 70 }],
    actions: [],
    wakeInMs: 70,
  },
  {
    name: "a standby that was enlisted and is not ready in time is ended",
    workers: [{ ...STARTING, readyInMs: 0 }],
    actions: ["0 terminate", "start 1"],
  },
  {
    name: "standbys on their way out are no generation that drains",
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

const SITUATIONS = [...PLACES, ...DEADLINES, ...TRIALS, ...STEPS, ...AFTERWARDS, ...SPARES];

function serviceIn(situation: Situation): Service {
  const { procCount = 1, retired, candidate, startInMs = 0, step, soak, readyTimeout } = situation;
  const { standbys, spareInMs, failure } = situation;
  const settings = {
    ...(step && { "server-reload-step": `${step}` }),
    ...(soak && { "server-soak": `${soak}` }),
    ...(readyTimeout !== undefined && { "server-ready-timeout": `${readyTimeout}` }),
    ...(standbys && { "server-standby-count": `${standbys}` }),
  };
  const config = serviceOf("x", { procCount, settings });
  const tried = serviceOf("x", { procCount: candidate?.procCount, settings });
  return {
    ...newService("x"),
    ...(!retired && { current: { config, generation: GENERATIONS.current } }),
    ...(candidate && {
      candidate: {
        config: tried,
        generation: GENERATIONS.candidate,
        startAtMs: NOW + (candidate.startInMs ?? 0),
        left: candidate.left ?? 0,
        ...(candidate.failure && { failure: candidate.failure }),
      },
    }),
    startAtMs: NOW + startInMs,
    ...(spareInMs && { standbyHistory: { ...NO_HISTORY, startAtMs: NOW + spareInMs } }),
    ...(failure && { failure }),
    workers: new Set(situation.workers.map((some, id) => workerIn(some, { id, config }))),
  };
}

function workerIn(
  {
    state,
    of = "current",
    readyMs = 1_000,
    ageMs = 1_000,
    inMs,
    slot = 0,
    neverServed,
    readyInMs,
    silent,
  }: Some,
  { id, config }: { readonly id: number; readonly config: ServiceConfig },
): Worker {
  return {
    id,
    pid: 100 + id,
    generation: GENERATIONS[of],
    config,
    slot,
    listeners: [],
    startedAtMs: NOW - ageMs,
    history: NO_HISTORY,
    state,
    ...(state === "ready" && { readyAtMs: NOW - readyMs }),
    ...(inMs !== undefined && { deadlineMs: NOW + inMs }),
    ...(neverServed && { neverServed }),
    ...(readyInMs !== undefined && { readyByMs: NOW + readyInMs }),
    ...(silent && { silentUntilMs: NOW }),
  };
}

const decideNow = (service: Service, { maxGenerations = Infinity }: Situation) =>
  decide(service, { nowMs: NOW, maxGenerations });

function show(action: Action): string {
  if (action.do === "startStandby") return "startStandby";
  if (action.do !== "start") return `${action.worker.id} ${action.do}`;
  const isTrial = action.version.generation === GENERATIONS.candidate;
  return `${isTrial ? "try" : "start"} ${action.count}`;
}

/** What the supervisor does about an action, as far as the tables tell. */
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
      return activate(worker, { slot: 0, listeners: [], startedAtMs: NOW, history: NO_HISTORY });
    }
    if (event === "suspect") {
      worker.silentUntilMs = NOW + DOUBT_MS;
      worker.suspected = true;
      return;
    }
    assert(event === "softstop" || event === "terminate" || event === "kill", show(action));
    if (event === "terminate" && worker.generation === service.candidate?.generation) {
      service.candidate.failure = "it was lost";
    }
    assert(advance(worker, event), `${show(action)} means nothing to its worker`);
    action.worker.deadlineMs = action.do === "terminate" ? NOW + TERMINATE_GRACE_MS : undefined;
    return;
  }
  const { config, generation } = action.version;
  for (let count = 0; count < action.count; count++) {
    const id = 1_000 + service.workers.size;
    const about = { id, pid: id, generation, config, slot: 0, listeners: [], history: NO_HISTORY };
    service.workers.add({ ...about, startedAtMs: NOW, state: "starting" });
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

  Deno.test(`decide() asks for nothing more when this is done: ${situation.name}`, () => {
    const service = serviceIn(situation);
    for (const action of decideNow(service, situation).actions) perform(service, action);
    assertEquals(decideNow(service, situation).actions.map(show), []);
  });
}

Deno.test("decide() changes nothing by itself", () => {
  for (const situation of SITUATIONS) {
    const service = serviceIn(situation);
    const before = structuredClone({ ...service, workers: [...service.workers] });
    decideNow(service, situation);
    assertEquals({ ...service, workers: [...service.workers] }, before);
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

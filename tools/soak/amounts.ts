/**
 * How much of each thing a run of the scenarios does.
 *
 * @module
 */

import { type LoadSettings, MODERATE_LOAD } from "./load_plan.ts";

/** How much of each fault. */
export interface FaultAmounts {
  /** How many processes each service has where servers, or a master, are killed. */
  readonly killedProcesses: number;
  /** For how long servers are killed, in seconds. */
  readonly killSeconds: number;
  /** How often a master is killed. */
  readonly masterKills: number;
  /** `server-watchdog` where a server hangs, in seconds. */
  readonly watchdogSeconds: number;
  /** For how long a server exits at once, in seconds. */
  readonly exitSeconds: number;
  /** Restarts of servers in C, and of servers in Deno: how many, and how many of them at once. */
  readonly restarts: Readonly<
    Record<"c" | "deno", { readonly count: number; readonly batch: number }>
  >;
  /** For how long no process can be made, in seconds. */
  readonly noForkSeconds: number;
  /** Inputs of each fuzz test. */
  readonly fuzz: number;
}

/** How many processes a service has where more than one serves it. */
export const SEVERAL = 2;

/** The numbers of a run. */
export interface Amounts {
  readonly faults: FaultAmounts;
  /** How much is asked at the same time. */
  readonly load: LoadSettings;
  /** Whether each change is one of all services, or of no more than it needs. */
  readonly changes: "all" | "few";
  /** How many processes each service has, unless a scenario needs several. */
  readonly processes: number;
  /** Reloads in a row. */
  readonly reloads: number;
  /** How many requests run along with them at least. */
  readonly requests: number;
  /** Reloads in a row while there are few requests. */
  readonly slowReloads: number;
  /** Listeners that are added and removed again. */
  readonly listeners: number;
  /** Upgrades in a row. */
  readonly upgrades: number;
  /** How often a bad version is tried. */
  readonly badVersions: number;
  /** SIGHUPs in a burst. */
  readonly burst: number;
  /** How often two things are done at the same time. */
  readonly collisions: number;
  /** `server-ready-timeout` where a version never gets ready, in seconds. */
  readonly readyTimeoutSeconds: number;
  /** `server-soak` where a version dies after it was ready, in seconds. */
  readonly soakSeconds: number;
}

/** What reliability is judged by. */
export const LONG: Amounts = {
  faults: {
    killedProcesses: 4,
    killSeconds: 60,
    masterKills: 10,
    watchdogSeconds: 2,
    exitSeconds: 60,
    restarts: { c: { count: 10_000, batch: 50 }, deno: { count: 500, batch: 5 } },
    noForkSeconds: 5,
    fuzz: 1_000_000,
  },
  load: MODERATE_LOAD,
  changes: "all",
  processes: SEVERAL,
  reloads: 100,
  requests: 100_000,
  slowReloads: 20,
  listeners: 20,
  upgrades: 20,
  badVersions: 4,
  burst: 1_000,
  collisions: 5,
  readyTimeoutSeconds: 5,
  soakSeconds: 2,
};

/** What is enough to see that each scenario works, for tests. */
export const SHORT: Amounts = {
  faults: {
    killedProcesses: 2,
    killSeconds: 0.5,
    masterKills: 1,
    watchdogSeconds: 1,
    exitSeconds: 1,
    restarts: { c: { count: 40, batch: 10 }, deno: { count: 4, batch: 2 } },
    noForkSeconds: 1,
    fuzz: 100,
  },
  // The end of each scenario waits for those who take the longest.
  load: {
    ...MODERATE_LOAD,
    connections: { fresh: 1, kept: 1 },
    // With the delays of the long run, requests would take most of the processor time.
    delayMs: 100,
    longDelayMs: 300,
    late: { oneIn: 20, ms: 200 },
    keptAnswers: { least: 10, most: 40 },
  },
  // A process that starts costs more than all that it answers.
  changes: "few",
  processes: 1,
  reloads: 1,
  requests: 1_000,
  slowReloads: 1,
  listeners: 2,
  upgrades: 1,
  badVersions: 1,
  burst: 200,
  collisions: 1,
  readyTimeoutSeconds: 5,
  soakSeconds: 1,
};

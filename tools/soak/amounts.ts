/**
 * How much of each thing a run of the scenarios does.
 *
 * @module
 */

import { type LoadSettings, MODERATE_LOAD } from "./load_plan.ts";

/** The numbers of a run. */
export interface Amounts {
  /** How much is asked at the same time. */
  readonly load: LoadSettings;
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
  load: MODERATE_LOAD,
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
  // The end of each scenario waits for those who take the longest.
  load: { ...MODERATE_LOAD, longDelayMs: 300, late: { oneIn: 20, ms: 200 } },
  reloads: 3,
  requests: 1_000,
  slowReloads: 2,
  listeners: 2,
  upgrades: 2,
  badVersions: 1,
  burst: 200,
  collisions: 1,
  readyTimeoutSeconds: 1,
  soakSeconds: 1,
};

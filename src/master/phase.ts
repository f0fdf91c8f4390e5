/**
 * The states of a master. Pure data: this file imports nothing.
 *
 * @module
 */

/**
 * - `starting`: it reads its settings and opens what it serves, or is on trial beside an old master;
 * - `serving`: it has the duty, and its servers serve;
 * - `draining`: another master has the duty, and its own servers finish;
 * - `waiting`: another master has the duty, and it waits for that one's end as its parent;
 * - `stopping`: all of its servers end, and then it ends.
 */
export type MasterPhase = "starting" | "serving" | "draining" | "waiting" | "stopping";

/** Where each phase can lead; `waiting` and `stopping` end with the process. */
export const NEXT_PHASES: Readonly<Record<MasterPhase, readonly MasterPhase[]>> = {
  starting: ["serving", "stopping"],
  serving: ["draining", "stopping"],
  // Back to serving when the other master has ended without a word.
  draining: ["serving", "waiting", "stopping"],
  waiting: [],
  stopping: [],
};

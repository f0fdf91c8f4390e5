/**
 * The phases of a master. Pure data: this file imports nothing.
 *
 * @module
 */

/**
 * - `starting`: it reads its settings and opens its listeners, possibly beside an old master;
 * - `serving`: it has the duty, and its servers serve;
 * - `draining`: a new master has the duty, and its own servers drain;
 * - `waiting`: a new master has the duty, and this one waits for its end as its parent;
 * - `stopping`: its servers end, then it ends itself.
 */
export type MasterPhase = "starting" | "serving" | "draining" | "waiting" | "stopping";

/** The phases that can follow each phase; `waiting` and `stopping` end with the process. */
export const NEXT_PHASES: Readonly<Record<MasterPhase, readonly MasterPhase[]>> = {
  starting: ["serving", "stopping"],
  serving: ["draining", "stopping"],
  // It serves again if the new master has ended unexpectedly.
  draining: ["serving", "waiting", "stopping"],
  waiting: [],
  stopping: [],
};

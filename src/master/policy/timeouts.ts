/**
 * The time limits of workers that no setting gives. Pure.
 *
 * @module
 */

/**
 * A worker that lived less than this delays the next start of its service by this time (LIB-ZC).
 */
export const EARLY_DEATH_MS = 100;

/** The time from SIGTERM to SIGKILL. */
export const TERMINATE_GRACE_MS = 2_000;

/** How long a worker may drain beyond the time that it announced. */
export const DRAIN_GRACE_MS = 5_000;

/** The longest time to drain that a worker may announce (LIB-ZC), unless a setting allows more. */
export const LONGEST_DRAIN_MS = 3_600_000;

/** How long a ready worker may take to answer a soft stop; its event loop may be busy. */
export const SOFTSTOP_ANSWER_MS = 30_000;

/**
 * The same for a worker that may hang: it was never ready, or one of its listeners was shut down.
 */
export const UNREADY_ANSWER_MS = 5_000;

/** The time from the end of a worker socket to SIGTERM, for a process that has not exited. */
export const LOST_GRACE_MS = 1_000;

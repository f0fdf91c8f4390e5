/**
 * Waiting in tests: for what will come, with a generous bound, and never for a time to pass.
 *
 * @module
 */

/** How long a test waits for anything before it fails. */
export const PATIENCE_MS = 30_000;

/**
 * How soon a server serves again after a lack of descriptors, at the latest, in milliseconds: its pause is far
 * shorter.
 */
export const GOES_ON_MS = 5_000;

/** How long {@linkcode eventually} pauses between two looks, at first and at most. */
const FIRST_PAUSE_MS = 5, LONGEST_PAUSE_MS = 40;

/** Settings of a wait. */
export interface WaitOptions {
  /** What is waited for, for the error. */
  readonly what: string;
  /** How long at most, in milliseconds; default {@linkcode PATIENCE_MS}. */
  readonly withinMs?: number;
}

/**
 * Bounds a promise.
 *
 * @param promise What is waited for.
 * @param options Its name and the bound.
 * @returns What the promise gives.
 * @throws {Error} When the time is over; a function as `what` is called for the text only then.
 */
export async function within<T>(
  promise: Promise<T>,
  options: Omit<WaitOptions, "what"> & { readonly what: string | (() => string) },
): Promise<T> {
  const { what, withinMs = PATIENCE_MS } = options;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const text = typeof what === "string" ? what : what();
    late.reject(new Error(`Cannot wait longer for ${text}: ${withinMs} ms have passed`));
  }, withinMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks again and again, for what no event tells.
 *
 * @param probe Asked every few milliseconds, less often as time goes by, until it gives something
 * other than undefined or false; what it throws ends the wait.
 * @param options What is waited for, and the bound.
 * @returns What the probe gave.
 * @throws {Error} When the time is over.
 */
export async function eventually<T>(
  probe: () => T | false | undefined | Promise<T | false | undefined>,
  { what, withinMs = PATIENCE_MS }: WaitOptions,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(1.1 * pauseMs, LONGEST_PAUSE_MS)) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) {
      throw new Error(`Cannot wait longer for ${what}: ${withinMs} ms have passed`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/**
 * Looks, about a thousand times a second, whether what must always hold does: the lock of the pid
 * file is held by somebody, and the paths of the unix sockets are there.
 *
 * @module
 */
import { PidFile } from "../../src/os/lock_file.ts";

/** Between two looks. */
const LOOK_MS = 1;

/** How often something did not hold. */
export interface Watched {
  /** How often was looked. */
  readonly looks: number;
  /** What did not hold, each thing once, with how often. */
  readonly faults: readonly string[];
}

/**
 * Begins to look.
 *
 * @param pidFile The pid file.
 * @param paths The paths.
 * @returns Ends it, and tells what was seen.
 */
export function watch(pidFile: string, paths: readonly string[]): () => Watched {
  let looks = 0;
  const missed = new Map<string, number>();
  const miss = (what: string) => missed.set(what, (missed.get(what) ?? 0) + 1);
  const timer = setInterval(() => {
    looks++;
    const lock = PidFile.tryLock(pidFile);
    if (lock !== undefined) miss("the lock of the pid file could be had");
    lock?.release();
    for (const path of paths) if (!isThere(path)) miss(`${path} was missing`);
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    return { looks, faults: [...missed].map(([what, count]) => `${what}, ${count} times`) };
  };
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

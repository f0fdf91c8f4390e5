/**
 * Looks, about a thousand times a second, whether what must always hold does: the lock of the pid
 * file is held by somebody, and the paths of the unix sockets are there.
 *
 * @module
 */
import { PidFile } from "../../src/os/process/lock_file.ts";

/** Between two looks. */
const LOOK_MS = 1;

/** Looks from its making on. Declare it with `using`. */
export class Watch implements Disposable {
  readonly #missed = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * @param pidFile The pid file.
   * @param paths The paths.
   */
  constructor(pidFile: string, paths: readonly string[]) {
    this.#timer = setInterval(() => {
      const lock = PidFile.tryLock(pidFile);
      if (lock !== undefined) this.#miss("the lock of the pid file could be had");
      lock?.release();
      for (const path of paths) if (!isThere(path)) this.#miss(`${path} was missing`);
    }, LOOK_MS);
  }

  /** What did not hold, each thing once, with how often. */
  get faults(): string[] {
    return [...this.#missed].map(([what, count]) => `${what}, ${count} times`);
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #miss(what: string): void {
    this.#missed.set(what, (this.#missed.get(what) ?? 0) + 1);
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * The phase that a master is in.
 *
 * @module
 */
import { zdebug } from "../log/log.ts";
import { type MasterPhase, NEXT_PHASES } from "./phase.ts";

/** The phase that a master is in; `starting` at first. */
export class CurrentPhase {
  #phase: MasterPhase = "starting";
  #changed = Promise.withResolvers<void>();

  /** The phase. */
  get name(): MasterPhase {
    return this.#phase;
  }

  /** Whether the master is in a phase. */
  is(phase: MasterPhase): boolean {
    return this.#phase === phase;
  }

  /** Enters another phase, if the current one can lead there. */
  enter(phase: MasterPhase): void {
    if (!NEXT_PHASES[this.#phase].includes(phase)) return;
    zdebug(`phase ${phase}, after ${this.#phase}`);
    this.#phase = phase;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Waits until the master has left a phase. */
  async end(phase: MasterPhase): Promise<void> {
    while (this.#phase === phase) await this.#changed.promise;
  }
}

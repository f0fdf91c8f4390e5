/**
 * The counts of a master on their way to the new master of an upgrade, and back to the old one while
 * that may go on in its place: whoever answers next, no count falls.
 *
 * @module
 */
import { systemClock } from "../os/clock/clock.ts";
import type { Counters } from "./counters/counters.ts";
import { CountForwarding } from "./counters/forwarding.ts";
import type { Increment } from "./counters/increment_sums.ts";
import type { NewMaster } from "./upgrade/new_master.ts";
import type { OldMaster } from "./upgrade/old_master.ts";

/** Exchanges counts with the other master of an upgrade. */
export class CounterExchange {
  readonly #counters: Counters;
  readonly #toOld = new CountForwarding(systemClock);
  #toNew?: CountForwarding;

  /**
   * @param counters The counts.
   * @param hasOldMaster Whether this master begins beside another one.
   */
  constructor(counters: Counters, hasOldMaster: boolean) {
    this.#counters = counters;
    if (hasOldMaster) counters.forwardTo(this.#toOld);
  }

  /** The old master has counted something. */
  fromOld(increments: readonly Increment[]): void {
    this.#counters.adopt(increments, this.#toOld);
  }

  /**
   * This master has taken over: from now on the old one gets what this one counts. It counts the upgrade itself, before
   * it answers anybody: where the old one did, clients of both saw that count fall.
   */
  tookOver(oldMaster: OldMaster): void {
    this.#counters.ofMaster("upgrades.completed");
    this.#toOld.begin((increments) => oldMaster.tellCounted(increments));
    oldMaster.gone.then(() => this.#counters.leave(this.#toOld));
  }

  /** A new master has received the handover: it gets all counts, and then each increment. */
  started(newMaster: NewMaster): void {
    const toNew = this.#toNew = new CountForwarding(systemClock);
    this.#counters.forwardTo(toNew, { all: true });
    toNew.begin((increments) => newMaster.tellCounted(increments));
    newMaster.exited.then(() => this.#counters.leave(toNew));
  }

  /** The new master is told to take over next. */
  beforeTakeover(): void {
    this.#toNew?.flush();
  }

  /** The new master has counted something. */
  fromNew(increments: readonly Increment[]): void {
    this.#counters.adopt(increments, this.#toNew);
  }

  /** Counts an upgrade that has failed. */
  failed(): void {
    this.#counters.ofMaster("upgrades.failed");
  }
}

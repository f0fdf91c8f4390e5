/**
 * Which slot and listeners a worker gets, and which listeners receive connections.
 *
 * @module
 */
import type { ListenerRepair } from "../listeners/repair.ts";
import type { ListenerTable } from "../listeners/table.ts";
import type { Action } from "../policy/decision.ts";
import type { Worker } from "../policy/life.ts";
import type { Service, Version } from "../policy/model.ts";
import { nextSlot } from "../policy/slots.ts";
import { servedListeners } from "./steering.ts";

/** The slot of a worker, and the listeners of that slot, which are borrowed. */
export type Assignment = Pick<Worker, "slot" | "listeners">;

/** The assignment of a standby before its activation. */
export const NO_ASSIGNMENT: Assignment = { slot: 0, listeners: [] };

/** Assigns listeners to workers, and connections to listeners. */
export class Assignments {
  readonly #table: ListenerTable;
  readonly #repair: ListenerRepair;

  /**
   * @param table The open listeners.
   * @param repair Repairs what a worker is about to get.
   */
  constructor(table: ListenerTable, repair: ListenerRepair) {
    this.#table = table;
    this.#repair = repair;
  }

  /** The assignment of the next worker of a version. */
  next(service: Service, version: Version): Assignment {
    const slot = nextSlot(service, version);
    const listeners = this.#table.listeners(version.config, slot);
    // Other processes may go on with these listeners, so none is replaced.
    this.#repair.lookAt(listeners, { mayReplace: false });
    return { slot, listeners };
  }

  /**
   * Keeps connections away from the slots that no worker serves, now or after the given actions.
   */
  steer(service: Service, actions: readonly Action[] = []): void {
    const { current } = service;
    if (current === undefined || !this.#table.hasSlots(current.config)) return;
    const served = servedListeners(service, { current, actions, table: this.#table });
    this.#table.steer(current.config, served);
  }

  /** The indexes of those listeners of a worker that receive no more connections. */
  idleListeners({ listeners }: Worker): number[] {
    return listeners.flatMap((listener, index) => this.#table.isIdle(listener) ? [index] : []);
  }
}

/**
 * When listeners are closed: once no version names their address any more, once no slot needs them,
 * and during a stop once no process holds them.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { ListenerTable } from "../listeners/table.ts";
import type { Listener } from "../policy/listener.ts";
import type { ServiceTable } from "./service_table.ts";
import type { WorkerPool } from "./worker_pool.ts";

/** What the release of listeners depends on. */
export interface ListenerReleaseOptions {
  readonly table: ListenerTable;
  readonly services: ServiceTable;
  readonly pool: WorkerPool;
}

/** Closes listeners. */
export class ListenerRelease {
  readonly #options: ListenerReleaseOptions;

  /** @param options What it depends on. */
  constructor(options: ListenerReleaseOptions) {
    this.#options = options;
  }

  /**
   * Closes the listeners of addresses that are no longer named.
   *
   * @param before The configurations that are over.
   * @param after Those that may have the same addresses, and keep them.
   * @param stopWorkers Tells the workers of the former ones to stop. It is called when the listeners
   * receive no more connections, and before they are closed.
   */
  closeUnnamed(
    before: readonly ServiceConfig[],
    after: readonly ServiceConfig[],
    stopWorkers: () => void,
  ): void {
    const { table } = this.#options;
    table.release(before, after);
    stopWorkers();
    table.closeReleased();
  }

  /** Closes the slots that no version needs, unless a process holds them. */
  closeSurplusSlots(): void {
    const { table, services } = this.#options;
    table.closeUnused((listener) => services.isAssigned(listener));
  }

  /** Closes, during a stop, the listeners that no process holds any more. */
  closeUnheld(): void {
    let held: ReadonlySet<Listener> | undefined;
    this.#options.table.closeReleased((listener) => (held ??= this.#held()).has(listener));
  }

  #held(): ReadonlySet<Listener> {
    const { services, pool } = this.#options;
    const holding = services.all().flatMap(({ workers }) => [...workers])
      .filter((worker) => pool.holdsListeners(worker));
    return new Set(holding.flatMap(({ listeners }) => listeners));
  }
}

/**
 * Numbers by service and name, to which others are added. Pure.
 *
 * @module
 */
import type { SentIncrement as Increment } from "../../ipc/upgrade_messages.ts";

export type { Increment };

/** Sums of increments by service and name. */
export class IncrementSums {
  readonly #byService = new Map<string, Map<string, number>>();

  /** Adds to a count, which begins at 0. */
  add([service, name, by]: Increment): void {
    let counts = this.#byService.get(service);
    if (counts === undefined) this.#byService.set(service, counts = new Map());
    counts.set(name, Math.min(Number.MAX_SAFE_INTEGER, (counts.get(name) ?? 0) + by));
  }

  /** The count; undefined if nothing was ever added to it. */
  get(service: string, name: string): number | undefined {
    return this.#byService.get(service)?.get(name);
  }

  /** The services, in the order of their first counts. */
  services(): MapIterator<string> {
    return this.#byService.keys();
  }

  /** The number of services. */
  get size(): number {
    return this.#byService.size;
  }

  /** Forgets the counts of a service. */
  forget(service: string): void {
    this.#byService.delete(service);
  }

  /** Removes all counts, and returns them. */
  takeAll(): Increment[] {
    const all = this.all();
    this.#byService.clear();
    return all;
  }

  /** All counts. */
  all(): Increment[] {
    return [...this.#byService].flatMap(([service, counts]) =>
      [...counts].map(([name, by]): Increment => [service, name, by])
    );
  }
}

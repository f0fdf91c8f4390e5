/**
 * The services of a master, with the workers of each.
 *
 * @module
 */
import type { UnreadyService } from "../../control/messages.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import type { Listener } from "../policy/listener.ts";
import { newService, type Service } from "../policy/model.ts";

/** A wait for a condition of a service. */
interface Wait {
  readonly id: string;
  isSo(service: Service | undefined): boolean;
  resolve(): void;
}

/** All services: the current ones, those that a reload adds, and those whose workers still run. */
export class ServiceTable {
  readonly #byId = new Map<string, Service>();
  readonly #waits = new Set<Wait>();

  /** All services; stays the same while some are added or removed. */
  all(): readonly Service[] {
    return [...this.#byId.values()];
  }

  /** A service, which is added if it is not there yet. */
  of(id: string): Service {
    let service = this.#byId.get(id);
    if (service === undefined) {
      service = newService(id);
      this.#byId.set(id, service);
    }
    return service;
  }

  /** The service of this id, if there is one. */
  get(id: string): Service | undefined {
    return this.#byId.get(id);
  }

  /** Forgets a service without version and workers. */
  removeIfGone(service: Service): void {
    const { id, current, candidate, workers } = service;
    const isGone = !current && !candidate && workers.size === 0;
    // A late call must not remove a new service of the same id.
    if (isGone && this.#byId.get(id) === service) this.#byId.delete(id);
  }

  /**
   * Waits until a service is in a condition.
   *
   * @param id The service.
   * @param isSo The condition; undefined is a service of which nothing is left.
   */
  when(id: string, isSo: (service: Service | undefined) => boolean): Promise<void> {
    if (isSo(this.#byId.get(id))) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waits.add({ id, isSo, resolve });
    return promise;
  }

  /** Ends the waits of {@linkcode when} whose condition holds; to be called after each change. */
  look({ id }: Service): void {
    for (const wait of this.#waits) {
      if (wait.id !== id || !wait.isSo(this.#byId.get(id))) continue;
      this.#waits.delete(wait);
      wait.resolve();
    }
  }

  /** The configurations of the current versions. */
  current(): ResolvedService[] {
    return configsOf(this.all(), "current");
  }

  /** The services that have failed, and why. */
  failed(): UnreadyService[] {
    return this.all().flatMap(({ id, failure: reason }) =>
      reason === undefined ? [] : [{ id, reason }]
    );
  }

  /** Whether a worker was given a listener. */
  isAssigned(listener: Listener): boolean {
    return this.#byId.values().some(({ workers }) =>
      workers.values().some(({ listeners }) => listeners.includes(listener))
    );
  }
}

/** The configurations of one of the versions of services. */
export function configsOf(
  services: readonly Service[],
  which: "current" | "candidate",
): ResolvedService[] {
  return services.flatMap((service) => service[which]?.config ?? []);
}

/**
 * The start of a master: which services have come to serve, and which have not in their time.
 *
 * A cold start is no trial, since there is nothing to go back to: what fails is tried again and again.
 * But whoever has started the master is to hear of it.
 *
 * @module
 */
import { strengthOf } from "../policy/scaling.ts";
import type { Service } from "../policy/model.ts";

/** How long a service is waited for whose processes have no ready time-out. */
const LONGEST_MS = 30_000;

/** A service that does not serve. */
export interface UnreadyService {
  readonly id: string;
  /** Why, as far as it is known. */
  readonly reason: string;
}

/** Watches services from their start on, until each has been ready once. */
export class ColdStart {
  /** The services that are not ready yet, each with the ids of its processes that have been. */
  readonly #waiting: Map<Service, Set<number>>;
  readonly #settled = Promise.withResolvers<void>();
  readonly #complete = Promise.withResolvers<void>();

  /** @param services All services, just started. */
  constructor(services: Iterable<Service>) {
    this.#waiting = new Map(Array.from(services, (service) => [service, new Set()]));
    for (const service of [...this.#waiting.keys()]) this.look(service);
    this.#resolve();
  }

  /** Fulfilled when every service has been ready or has failed. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Fulfilled when every service has been ready, however long it took. */
  get complete(): Promise<void> {
    return this.#complete.promise;
  }

  /**
   * How much longer to wait.
   *
   * @param passedMs How long it has been since the start, in milliseconds.
   * @returns Until the time is over of each service that may still become ready; 0 where there is none.
   */
  leftMs(passedMs: number): number {
    const leftMs = this.#waiting.keys()
      .filter(({ failure }) => failure === undefined)
      .map(({ current }) => (current?.config.readyTimeoutMs || LONGEST_MS) - passedMs);
    return Math.max(0, ...leftMs);
  }

  /** The services that have not been ready yet. */
  get unready(): UnreadyService[] {
    return Array.from(this.#waiting.keys(), ({ id, failure, trouble }) => {
      return { id, reason: failure ?? trouble ?? "no process of it is ready" };
    });
  }

  /**
   * Takes note of how a service stands.
   *
   * @param service The service, after each change.
   */
  look(service: Service): void {
    const beenReady = this.#waiting.get(service);
    if (beenReady === undefined) return;
    for (const { id, readyAtMs } of service.workers) if (readyAtMs !== undefined) beenReady.add(id);
    // One after the other will do: they may be such that live for a short time.
    if (beenReady.size >= strengthOf(service)) this.#waiting.delete(service);
    this.#resolve();
  }

  #resolve(): void {
    if (this.#waiting.size === 0) this.#complete.resolve();
    // A failed one is not tried any more.
    if (this.#waiting.keys().every(({ failure }) => failure !== undefined)) this.#settled.resolve();
  }
}

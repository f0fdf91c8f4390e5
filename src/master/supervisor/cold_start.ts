/**
 * The start of a master: which services have become ready, and which have not in time.
 *
 * A cold start has no rollout, since there is no old version to fall back to: a failed service is
 * tried again. The caller of the start still gets to know about it.
 *
 * @module
 */
import { isReady } from "../policy/life.ts";
import type { UnreadyService } from "../../control/messages.ts";
import { strengthOf } from "../policy/scaling.ts";
import type { Service } from "../policy/model.ts";

/** How long to wait for a service without a ready time-out. */
const LONGEST_MS = 30_000;

/** Watches services from their start until each has been ready once. */
export class ColdStart {
  /**
   * The services that are not ready yet, each with the ids of its processes that have been ready.
   */
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
   * How much longer to wait for services that may still become ready; 0 if there are none.
   *
   * @param passedMs The time since the start, in milliseconds.
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
   * Records which processes of a service have been ready.
   *
   * @param service The service, after each change.
   */
  look(service: Service): void {
    const beenReady = this.#waiting.get(service);
    if (beenReady === undefined) return;
    for (const worker of service.workers) if (isReady(worker)) beenReady.add(worker.id);
    // Processes that were ready one after the other count as well: they may be short-lived.
    if (beenReady.size >= strengthOf(service)) this.#waiting.delete(service);
    this.#resolve();
  }

  #resolve(): void {
    if (this.#waiting.size === 0) this.#complete.resolve();
    // A failed service is not started again.
    if (this.#waiting.keys().every(({ failure }) => failure !== undefined)) this.#settled.resolve();
  }
}

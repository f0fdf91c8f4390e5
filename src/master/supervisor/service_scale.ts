/**
 * Changes of the numbers of processes that last until the next reload: SIGTTIN, SIGTTOU and `zc scale`.
 *
 * @module
 */
import { counted } from "../../config/errors.ts";
import { problemOf, type Service } from "../policy/model.ts";
import { fullStrength, isComplete, scale } from "../policy/scaling.ts";
import type { ServiceTable } from "./service_table.ts";

/** What a {@linkcode ServiceScale} uses. */
export interface ServiceScaleOptions {
  readonly services: ServiceTable;
  reconcile(service: Service): void;
  log(text: string): void;
  /** Whether the supervisor ends: nothing is scaled any more. */
  isEnding(): boolean;
}

/** Changes the numbers of processes. */
export class ServiceScale {
  readonly #options: ServiceScaleOptions;

  constructor(options: ServiceScaleOptions) {
    this.#options = options;
  }

  /**
   * Adds processes to each service, or removes some.
   *
   * @param by How many to add; negative to remove.
   */
  all(by: number): void {
    if (this.#options.isEnding()) return;
    for (const service of this.#options.services.all()) {
      if (service.current !== undefined) this.#scale(service, by);
    }
  }

  /**
   * Sets the number of processes of a service.
   *
   * @param id The service.
   * @param count The number; it is brought within the limits of the service.
   * @returns The numbers before and after it; undefined if there is no such service.
   */
  to(id: string, count: number): { before: number; now: number } | undefined {
    const service = this.#options.services.get(id);
    if (service?.current === undefined || this.#options.isEnding()) return undefined;
    return this.#scale(service, count - fullStrength(service));
  }

  #scale(service: Service, by: number): { before: number; now: number } {
    const before = fullStrength(service);
    scale(service, by);
    const now = fullStrength(service);
    if (now !== before) {
      this.#options.log(`${service.id}: ${counted(now, "process", "processes")} from now on`);
    }
    this.#options.reconcile(service);
    return { before, now };
  }

  /**
   * Waits until a service has the processes that it is to have.
   *
   * @param id The service.
   * @returns Why it can't have them; undefined if it has them, or is gone.
   */
  async reached(id: string): Promise<string | undefined> {
    let service: Service | undefined;
    await this.#options.services.when(id, (found) => {
      service = found;
      return found?.current === undefined || problemOf(found) !== undefined || isComplete(found);
    });
    return service && problemOf(service);
  }
}

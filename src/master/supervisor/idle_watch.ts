/**
 * Services of which nothing runs because nobody needs it, and the watch for the first one who does.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { Clock } from "../../os/clock/clock.ts";
import type { OpenedListener } from "../../os/net/socket.ts";
import type { Service } from "../policy/model.ts";

/** How long it takes until a watch that could not be made is tried again. */
const RETRY_MS = 1_000;

/** What is needed for that. */
export interface IdleWatchOptions {
  readonly clock: Clock;
  /** Takes lines for the log. */
  log(text: string): void;
  /**
   * Watches the queues of a service's listeners, and calls back once.
   *
   * @param config The service.
   * @param onWaiting Called with the one in which something waits.
   * @returns Ends the watch.
   * @throws {Error} When there can't be one; nothing is watched then.
   */
  watch(config: ServiceConfig, onWaiting: (listener: OpenedListener) => void): () => void;
  /** Somebody waits for a service, in the queue of one of its listeners. */
  onWaiting(service: Service, listener: OpenedListener): void;
}

/** The services that are asleep. */
export class IdleWatch {
  readonly #options: IdleWatchOptions;
  readonly #watches = new Map<Service, () => void>();

  /** @param options What it needs. */
  constructor(options: IdleWatchOptions) {
    this.#options = options;
  }

  /**
   * Begins or ends the watch for a service; to be called before its listeners are closed.
   *
   * @param service The service, which has a version in force if it is asleep.
   * @param asleep Whether it is.
   */
  update(service: Service, asleep: boolean): void {
    const end = this.#watches.get(service);
    if (asleep === (end !== undefined)) return;
    if (end === undefined) this.#begin(service);
    else {
      this.#watches.delete(service);
      end();
    }
  }

  #begin(service: Service, { isRetry = false } = {}): void {
    const { clock, log, watch, onWaiting } = this.#options;
    try {
      const end = watch(service.current!.config, (listener) => {
        this.#watches.delete(service);
        onWaiting(service, listener);
      });
      this.#watches.set(service, end);
    } catch (error) {
      if (!isRetry) {
        const { message } = error as Error;
        log(`${service.id}: can't see who connects, and tries again every second: ${message}`);
      }
      const timer = clock.setTimer(RETRY_MS, () => this.#begin(service, { isRetry: true }));
      this.#watches.set(service, () => timer.cancel());
    }
  }
}

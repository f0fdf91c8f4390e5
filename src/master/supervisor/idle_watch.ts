/**
 * Idle services, and the epoll watch that wakes them.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { Listener } from "../policy/listener.ts";
import type { Service } from "../policy/model.ts";
import type { Ports } from "./ports.ts";

/** The delay before a failed watch is tried again. */
const RETRY_MS = 1_000;

/** What an idle watch uses of the other parts of the supervisor. */
export interface IdleWatchOptions {
  /**
   * Watches the queues of a service's listeners, and calls back once.
   *
   * @param config The service.
   * @param onWaiting Called with a listener that has a waiting connection.
   * @returns Ends the watch.
   * @throws {Error} When the watch can't be set up; nothing is watched then.
   */
  watch(config: ServiceConfig, onWaiting: (listener: Listener) => void): () => void;
  /** Called when a connection waits in the queue of one of an idle service's listeners. */
  onWaiting(service: Service, listener: Listener): void;
}

/** Watches the listeners of idle services. */
export class IdleWatch {
  readonly #ports: Pick<Ports, "clock" | "log">;
  readonly #options: IdleWatchOptions;
  readonly #watches = new Map<Service, () => void>();

  /**
   * @param ports The access to the system.
   * @param options The watch of listeners, and what follows from it.
   */
  constructor(ports: Pick<Ports, "clock" | "log">, options: IdleWatchOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /**
   * Starts or ends the watch for a service; to be called before its listeners are closed.
   *
   * @param service The service, which has a current version if it is idle.
   * @param idle Whether it is idle.
   */
  update(service: Service, idle: boolean): void {
    const end = this.#watches.get(service);
    if (idle === (end !== undefined)) return;
    if (end === undefined) this.#begin(service);
    else {
      this.#watches.delete(service);
      end();
    }
  }

  #begin(service: Service, { isRetry = false } = {}): void {
    const { clock, log } = this.#ports, { watch, onWaiting } = this.#options;
    try {
      const end = watch(service.current!.config, (listener) => {
        this.#watches.delete(service);
        onWaiting(service, listener);
      });
      this.#watches.set(service, end);
    } catch (error) {
      if (!isRetry) {
        const { message } = error as Error;
        log(
          `${service.id}: can't watch for connections, and tries again every second: ${message}`,
          "warn",
        );
      }
      const timer = clock.setTimer(RETRY_MS, () => this.#begin(service, { isRetry: true }));
      this.#watches.set(service, () => timer.cancel());
    }
  }
}

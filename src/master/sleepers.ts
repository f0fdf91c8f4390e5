/**
 * Services of which nothing runs because nobody needs it, and the watch for the first one who does.
 *
 * @module
 */
import type { ServiceConfig } from "../config/service.ts";
import { EPOLLIN, type Poller } from "../os/poller.ts";
import type { Service } from "./tables.ts";

/** What is needed for that. */
export interface SleepersOptions {
  /**
   * Watches the queues of a service's listeners, and calls back once.
   *
   * @param config The service.
   * @param onWaiting Called with the descriptor of the one in which something waits.
   * @returns Ends the watch.
   */
  watch(config: ServiceConfig, onWaiting: (fd: number) => void): () => void;
  /** Somebody waits for a service, in the queue of one of its listeners. */
  onWaiting(service: Service, fd: number): void;
}

/** The services that are asleep. */
export class Sleepers {
  readonly #options: SleepersOptions;
  readonly #watches = new Map<Service, () => void>();

  /** @param options What it needs. */
  constructor(options: SleepersOptions) {
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
    if (end === undefined) {
      const watch = this.#options.watch(service.current!.config, (fd) => {
        this.#watches.delete(service);
        this.#options.onWaiting(service, fd);
      });
      this.#watches.set(service, watch);
    } else {
      this.#watches.delete(service);
      end();
    }
  }
}

/**
 * Makes the watch of real listeners. Nothing is accepted or read: what waits is left to the process
 * that is started for it.
 *
 * @param poller Watches the descriptors.
 */
export function queueWatcher(
  poller: Poller,
): (fds: readonly number[], onWaiting: (fd: number) => void) => () => void {
  return (fds, onWaiting) => {
    const end = () => watches.forEach((watch) => watch.stop());
    const watches = fds.map((fd) =>
      poller.watch(fd, EPOLLIN, () => {
        end();
        onWaiting(fd);
      })
    );
    return end;
  };
}

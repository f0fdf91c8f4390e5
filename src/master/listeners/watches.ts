/**
 * The epoll watches of open listeners: always for a shutdown, and for connections if a service
 * waits for one. Nothing is accepted or read.
 *
 * @module
 */
import { EPOLLIN, EPOLLRDHUP, type Poller } from "../../os/fd/poller.ts";
import type { Listener } from "../policy/listener.ts";

/** The watch of one listener. */
export interface ListenerWatch {
  /**
   * Starts or stops waiting for a connection.
   *
   * @param wanted Whether the next waiting connection is reported; it is reported once.
   */
  expect(wanted: boolean): void;
  /** Ends the watch; to be called before the listener is closed. Can be called twice. */
  stop(): void;
}

/**
 * Watches a listener; a port that tests replace.
 *
 * @param fd The listener. Borrowed.
 * @param tell Called when a connection waits in its queue, or, once, when it has become useless.
 * @returns The watch.
 * @throws {Error} When the watch can't be set up.
 */
export type WatchListener = (
  fd: number,
  tell: (what: "waiting" | "shut down") => void,
) => ListenerWatch;

/**
 * Creates the watch of real listeners.
 *
 * @param poller Watches the descriptors.
 */
export function listenerWatcher(poller: Poller): WatchListener {
  return (fd, tell) => {
    const watch = poller.watch(fd, EPOLLRDHUP, (events) => {
      if (events & ~EPOLLIN) {
        // A hang-up can't be ignored: epoll would report it again and again.
        watch.stop();
        return tell("shut down");
      }
      watch.modify(EPOLLRDHUP);
      tell("waiting");
    });
    return {
      expect: (wanted) => watch.modify(wanted ? EPOLLIN | EPOLLRDHUP : EPOLLRDHUP),
      stop: () => watch.stop(),
    };
  };
}

/** A listener, its watch, and whether a service waits for a connection on it. */
interface Watched {
  listener: Listener;
  watch?: ListenerWatch;
  onWaiting?: () => void;
}

/** The watches of all open listeners. */
export class ListenerWatches {
  readonly #watch: WatchListener | undefined;
  readonly #onShutDown: (listener: Listener) => void;
  readonly #watched = new Map<Listener, Watched>();

  /**
   * @param watch Creates a watch; without it nothing is reported.
   * @param onShutDown Called with a listener that accepts no more connections; its watch has ended.
   */
  constructor(watch?: WatchListener, onShutDown: (listener: Listener) => void = () => {}) {
    this.#watch = watch;
    this.#onShutDown = onShutDown;
  }

  /**
   * Watches a listener, if it is not watched yet. If that fails, its damage is found by the next
   * check.
   */
  add(listener: Listener): void {
    try {
      this.#begin(this.#of(listener));
    } catch {
      // A failure is reported when a service waits for connections.
    }
  }

  /** Ends the watch of a listener; to be called before it is closed. */
  remove(listener: Listener): void {
    this.pause(listener);
    this.#watched.delete(listener);
  }

  /**
   * Suspends the watch of a listener until {@linkcode add} or {@linkcode replace}, since it may be
   * closed meanwhile.
   */
  pause(listener: Listener): void {
    const watched = this.#watched.get(listener);
    watched?.watch?.stop();
    if (watched !== undefined) watched.watch = undefined;
  }

  /**
   * Transfers the watch of a closed listener that was {@linkcode pause}d to its replacement; it
   * resumes with {@linkcode add}.
   *
   * @param old The closed listener.
   * @param replacement Its replacement.
   */
  replace(old: Listener, replacement: Listener): void {
    const watched = this.#of(old);
    this.#watched.delete(old);
    watched.listener = replacement;
    this.#watched.set(replacement, watched);
  }

  /**
   * Waits for a connection in the queue of one of several listeners, and calls back once.
   *
   * @param listeners The listeners.
   * @param onWaiting Called with the listener in whose queue a connection waits.
   * @returns Ends the wait.
   * @throws {Error} When one of them can't be watched; none is waited for then.
   */
  expect(
    listeners: readonly Listener[],
    onWaiting: (listener: Listener) => void,
  ): () => void {
    const expecting = new Set<Watched>();
    const end = () => {
      for (const watched of expecting) {
        watched.onWaiting = undefined;
        watched.watch?.expect(false);
      }
      expecting.clear();
    };
    try {
      for (const watched of listeners.map((listener) => this.#of(listener))) {
        expecting.add(watched);
        watched.onWaiting = () => {
          end();
          onWaiting(watched.listener);
        };
        this.#begin(watched);
      }
    } catch (error) {
      end();
      throw error;
    }
    return end;
  }

  #of(listener: Listener): Watched {
    const watched = this.#watched.get(listener) ?? { listener };
    this.#watched.set(listener, watched);
    return watched;
  }

  #begin(watched: Watched): void {
    watched.watch ??= this.#watch?.(watched.listener.fd, (what) => {
      if (what === "waiting") return watched.onWaiting?.();
      watched.watch = undefined;
      this.#onShutDown(watched.listener);
    });
    watched.watch?.expect(watched.onWaiting !== undefined);
  }
}

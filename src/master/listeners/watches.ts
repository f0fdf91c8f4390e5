/**
 * The watch of open listeners: always for their end, and for connections where a service waits for one.
 * Nothing is accepted or read.
 *
 * @module
 */
import { EPOLLIN, EPOLLRDHUP, type Poller } from "../../os/fd/poller.ts";
import type { OpenedListener } from "../../os/net/socket.ts";

/** The watch of one listener. */
export interface ListenerWatch {
  /**
   * Says whether connections are waited for.
   *
   * @param wanted Whether the next one is told; it is told once.
   */
  expect(wanted: boolean): void;
  /** Ends the watch; to be called before the listener is closed. Harmless the second time. */
  stop(): void;
}

/**
 * Watches a listener, as a port that tests replace.
 *
 * @param fd The listener. Borrowed.
 * @param tell Told that something waits in its queue, or, once, that it is of no use any more.
 * @returns The watch.
 * @throws {Error} When there can't be one.
 */
export type WatchListener = (fd: number, tell: (what: "waiting" | "deaf") => void) => ListenerWatch;

/**
 * Makes the watch of real listeners.
 *
 * @param poller Watches the descriptors.
 */
export function listenerWatcher(poller: Poller): WatchListener {
  return (fd, tell) => {
    const watch = poller.watch(fd, EPOLLRDHUP, (events) => {
      if (events & ~EPOLLIN) {
        // A hang-up can't be passed over: it would be told again and again.
        watch.stop();
        return tell("deaf");
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

/** A listener, how it is watched, and whether anybody waits for a connection there. */
interface Watched {
  listener: OpenedListener;
  watch?: ListenerWatch;
  onWaiting?: () => void;
}

/** The watches of all open listeners. */
export class ListenerWatches {
  readonly #watch: WatchListener | undefined;
  readonly #onDeaf: (listener: OpenedListener) => void;
  readonly #watched = new Map<OpenedListener, Watched>();

  /**
   * @param watch Makes a watch; without it nothing is ever told.
   * @param onDeaf Told of a listener that takes no connections any more; its watch has ended.
   */
  constructor(watch?: WatchListener, onDeaf: (listener: OpenedListener) => void = () => {}) {
    this.#watch = watch;
    this.#onDeaf = onDeaf;
  }

  /**
   * Watches a listener, or goes on to. Where that can't be, its end shows at the next look at it.
   *
   * @param listener The listener.
   */
  add(listener: OpenedListener): void {
    try {
      this.#begin(this.#of(listener));
    } catch {
      // A lack of memory for watches is told where connections are waited for.
    }
  }

  /**
   * Watches a listener no more; to be called before it is closed.
   *
   * @param listener The listener.
   */
  remove(listener: OpenedListener): void {
    this.pause(listener);
    this.#watched.delete(listener);
  }

  /**
   * Watches a listener no more until {@linkcode add} or {@linkcode replace}, since it may be closed
   * meanwhile.
   *
   * @param listener The listener.
   */
  pause(listener: OpenedListener): void {
    const watched = this.#watched.get(listener);
    watched?.watch?.stop();
    if (watched !== undefined) watched.watch = undefined;
  }

  /**
   * Watches a listener in the place of one that is closed by now and was {@linkcode pause}d, as soon as it
   * is {@linkcode add}ed.
   *
   * @param old That one.
   * @param successor The listener.
   */
  replace(old: OpenedListener, successor: OpenedListener): void {
    const watched = this.#of(old);
    this.#watched.delete(old);
    watched.listener = successor;
    this.#watched.set(successor, watched);
  }

  /**
   * Waits for a connection in the queue of one of some listeners, and calls back once.
   *
   * @param listeners The listeners.
   * @param onWaiting Called with the one in whose queue something waits.
   * @returns Ends the wait.
   * @throws {Error} When one of them can't be watched; then none is waited for.
   */
  expect(
    listeners: readonly OpenedListener[],
    onWaiting: (listener: OpenedListener) => void,
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

  #of(listener: OpenedListener): Watched {
    const watched = this.#watched.get(listener) ?? { listener };
    this.#watched.set(listener, watched);
    return watched;
  }

  #begin(watched: Watched): void {
    watched.watch ??= this.#watch?.(watched.listener.fd, (what) => {
      if (what === "waiting") return watched.onWaiting?.();
      watched.watch = undefined;
      this.#onDeaf(watched.listener);
    });
    watched.watch?.expect(watched.onWaiting !== undefined);
  }
}

/**
 * The event base of the aio mode (LIB-ZC's `zaio_base_t`): the owner of a set of `Aio` objects
 * and of what they share, that is buffers, the one timer, limits and hooks.
 *
 * The event loop itself is the runtime's: there is nothing to run and nothing to stop here.
 *
 * @module
 */
import { systemClock } from "../../os/clock/clock.ts";
import { AioBuffers } from "./buffers.ts";
import { AioDeadlines } from "./deadlines.ts";

const DEFAULT_WRITE_CACHE_LIMIT = 64 * 1024 * 1024;

/** What a base knows of each `Aio` that it owns. */
export interface AioHandle {
  /** The peer's address; a timer has none. */
  readonly remoteAddr: Deno.Addr | undefined;
  /** Anything; for the user. */
  context: unknown;
  /** Closes it. */
  close(): void;
}

/** Settings and hooks of an {@linkcode AioBase}. */
export interface AioBaseOptions {
  /**
   * The most bytes that one `Aio` caches for writing; one that gets more fails at its next flush.
   *
   * @default {67108864}
   */
  writeCacheLimit?: number;
  /** See {@linkcode AioBase.onError}. */
  onError?: (error: unknown, aio: AioHandle) => void;
  /** See {@linkcode AioBase.onIdle}. */
  onIdle?: () => void;
}

/** What an `Aio` needs of its base, and nobody else. */
export interface AioBaseCore {
  /** Lends memory. */
  readonly buffers: AioBuffers;
  /** Watches the time. */
  readonly deadlines: AioDeadlines;
  /** The most bytes in one write cache. */
  readonly writeCacheLimit: number;
  /** Called like {@linkcode AioBase.onIdle}, for the framework itself. */
  onLastClosed?: () => void;
  /** Takes up a new `Aio`. */
  add(aio: AioHandle, isConnection: boolean): void;
  /** Lets go of one that was closed or released. */
  remove(aio: AioHandle, isConnection: boolean): void;
  /** Tells of an exception in a callback. */
  fail(error: unknown, aio: AioHandle): void;
}

/**
 * Gives an `Aio` the inside of its base. Not for users of the aio mode.
 *
 * @param base The base.
 * @returns Its inside.
 */
export let coreOf: (base: AioBase) => AioBaseCore;

/**
 * An event base.
 *
 * @example
 * ```ts
 * import { AioBase } from "@zc/master/aio-server";
 *
 * const base = new AioBase({ onError: (error) => console.error(error) });
 * base.onIdle = () => console.log("the last connection is closed");
 * ```
 */
export class AioBase {
  /** Anything; for the user (`zaio_base_set_context`). */
  context: unknown = undefined;
  /**
   * Takes what a callback threw, or what the promise of an `async` callback was rejected with. The
   * `Aio` that it happened on is closed already; no other one is touched.
   *
   * @default Prints the stack to standard error.
   */
  onError: (error: unknown, aio: AioHandle) => void;
  /**
   * Called when the last open connection was closed or released, so that a server that drains
   * knows when it is done. Called from the event loop, not from inside `close()`; not called when
   * another connection was opened in between.
   */
  onIdle: (() => void) | undefined;

  readonly #aios = new Set<AioHandle>();
  #connectionCount = 0;
  readonly #core: AioBaseCore;

  static {
    coreOf = (base) => base.#core;
  }

  /**
   * Makes a base; it costs nothing while it has no `Aio`.
   *
   * @param options Limits and hooks.
   */
  constructor(options: AioBaseOptions = {}) {
    this.onError = options.onError ?? ((error) => console.error(error));
    this.onIdle = options.onIdle;
    this.#core = {
      buffers: new AioBuffers(),
      deadlines: new AioDeadlines(systemClock),
      writeCacheLimit: options.writeCacheLimit ?? DEFAULT_WRITE_CACHE_LIMIT,
      add: (aio, isConnection) => {
        this.#aios.add(aio);
        if (isConnection) this.#connectionCount++;
      },
      remove: (aio, isConnection) => {
        this.#aios.delete(aio);
        if (isConnection && --this.#connectionCount === 0) {
          queueMicrotask(() => this.#tellIdle());
        }
      },
      fail: (error, aio) => {
        try {
          this.onError(error, aio);
        } catch (hookError) {
          // Nobody else is there to take it, and one connection must not end the process.
          console.error(error, hookError);
        }
      },
    };
  }

  /** How many connections are open. Timers, and connections that were released, don't count. */
  get connectionCount(): number {
    return this.#connectionCount;
  }

  /** Closes every `Aio` of this base, timers included, without calling back. */
  closeAll(): void {
    for (const aio of this.#aios) aio.close();
  }

  #tellIdle(): void {
    if (this.#connectionCount > 0) return;
    this.#core.onLastClosed?.();
    this.onIdle?.();
  }
}

/**
 * Makes an event base (`zaio_base_create`).
 *
 * @param options Limits and hooks.
 * @returns The base.
 */
export function aioBaseCreate(options?: AioBaseOptions): AioBase {
  return new AioBase(options);
}

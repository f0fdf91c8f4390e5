/**
 * The event base of the aio mode (LIB-ZC's `zaio_base_t`), which owns a set of `Aio` objects and their shared
 * buffers, timer, limits and hooks.
 *
 * The event loop is the runtime's: it needs neither start nor stop here.
 *
 * @module
 */
import { systemClock } from "../../os/clock/clock.ts";
import { AioBuffers } from "./buffers.ts";
import { AioDeadlines } from "./deadlines.ts";

const DEFAULT_WRITE_CACHE_LIMIT = 64 * 1024 * 1024;

/** Settings and hooks of an {@linkcode AioBase}. */
export interface AioBaseOptions {
  /**
   * The most bytes in the write cache of one `Aio`; beyond it, the next flush fails.
   *
   * @default {67108864}
   */
  writeCacheLimit?: number;
  /** See {@linkcode AioBase.onError}. */
  onError?: (
    error: unknown,
    aio: { readonly remoteAddr: Deno.Addr | undefined; context: unknown; close(): void },
  ) => void;
  /** See {@linkcode AioBase.onIdle}. */
  onIdle?: () => void;
}

/** The part of an `Aio` that its base uses. */
export type AioHandle = Parameters<NonNullable<AioBaseOptions["onError"]>>[1];

/** The internal part of a base that an `Aio` uses. */
export interface AioBaseCore {
  /** Lends memory. */
  readonly buffers: AioBuffers;
  /** Watches the time. */
  readonly deadlines: AioDeadlines;
  /** The most bytes in one write cache. */
  readonly writeCacheLimit: number;
  /** Called like {@linkcode AioBase.onIdle}, for the framework itself. */
  onLastClosed?: () => void;
  /** Adds a new `Aio`. */
  add(aio: AioHandle): void;
  /** Counts the connection of an `Aio`. */
  connected(): void;
  /** Removes an `Aio` that was closed or released. */
  remove(aio: AioHandle, isConnection: boolean): void;
  /** Closes an `Aio` whose callback has thrown an exception, and reports that. */
  fail(error: unknown, aio: AioHandle): void;
}

/** Gives an `Aio` the internal part of its base. Not for users of the aio mode. */
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
  /** Any value, for the user (`zaio_base_set_context`). */
  context: unknown = undefined;
  /**
   * Receives the exceptions of callbacks, and the rejections of `async` callbacks. The `Aio` of the callback is
   * closed already; no other one is affected.
   *
   * @default Prints the stack to standard error.
   */
  onError: NonNullable<AioBaseOptions["onError"]>;
  /**
   * Called when the last open connection was closed or released, so that a draining server can exit. Called from
   * the event loop, not from within `close()`; not called if another connection was opened in between.
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
      add: (aio) => this.#aios.add(aio),
      connected: () => this.#connectionCount++,
      remove: (aio, isConnection) => {
        this.#aios.delete(aio);
        if (isConnection && --this.#connectionCount === 0) {
          queueMicrotask(() => this.#tellIdle());
        }
      },
      fail: (error, aio) => {
        aio.close();
        try {
          this.onError(error, aio);
        } catch (hookError) {
          // The error of the error hook must not end the process.
          console.error(error, hookError);
        }
      },
    };
  }

  /** The number of open connections, without timers and released connections. */
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

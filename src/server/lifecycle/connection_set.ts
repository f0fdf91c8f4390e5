/**
 * The open connections of a coroutine server.
 *
 * A call of `close` removes a connection from the set. A connection that is used through its streams is
 * closed by them without a call of `close`; {@linkcode ConnectionSet.sweep} finds such connections.
 *
 * The set holds each connection until it is known to be closed: the streams work without the connection
 * object, so garbage collection of the object does not prove that the connection is closed.
 *
 * @module
 */

import type { Clock, Timer } from "../../os/clock/clock.ts";

const NOTHING = new Uint8Array();

/**
 * The first and the longest interval between two sweeps during a drain. The interval grows, so that a slow
 * client does not keep the server awake.
 */
const FIRST_SWEEP_MS = 100, LONGEST_SWEEP_MS = 8_000;

/** The least number of connections that start to use streams between two sweeps. */
const SWEEP_AFTER = 64;

/** Open connections. */
export class ConnectionSet {
  /** Called when a sweep has found a closed connection. */
  onChange: (() => void) | undefined;
  readonly #open = new Set<Deno.Conn>();
  /** The connections that are used through their streams. */
  readonly #streamed = new Set<Deno.Conn>();
  #streamedSinceSweep = 0;

  /** The number of connections; some of those with streams may be closed already. */
  get count(): number {
    return this.#open.size;
  }

  /** All connections. */
  values(): Iterable<Deno.Conn> {
    return this.#open.values();
  }

  /** Adds a connection and replaces its closing methods by ones that also remove it from the set. */
  add<C extends Deno.Conn>(conn: C): C {
    this.#open.add(conn);
    for (const name of ["close", Symbol.dispose] as const) {
      const close = conn[name];
      conn[name] = () => {
        try {
          close.call(conn);
        } finally {
          // `close` throws if the streams have closed the connection already.
          this.#remove(conn);
        }
      };
    }
    for (const name of ["readable", "writable"] as const) {
      Object.defineProperty(conn, name, {
        configurable: true,
        get: () => {
          delete (conn as Partial<Record<typeof name, unknown>>)[name];
          this.#watchStreams(conn);
          return conn[name];
        },
      });
    }
    return conn;
  }

  /** Looks for connections that their streams have closed, and calls {@linkcode onChange} for them. */
  sweep(): void {
    this.#streamedSinceSweep = 0;
    for (const conn of this.#streamed) {
      // An empty write fails on a closed connection and does nothing on an open one. It queues behind a
      // write that is under way, so it is not awaited.
      conn.write(NOTHING).catch((error) => {
        if (error instanceof Deno.errors.BadResource) this.#remove(conn);
      });
    }
  }

  /** Sweeps now and again, until the set is empty; returns what ends that. */
  sweepAgain(clock: Clock): () => void {
    let timer: Timer;
    const sweep = (pauseMs: number) => {
      this.sweep();
      timer = clock.setTimer(pauseMs, () => {
        // Tested after the pause: the last accept may have been under way before it.
        if (this.count > 0) sweep(Math.min(2 * pauseMs, LONGEST_SWEEP_MS));
      });
    };
    sweep(FIRST_SWEEP_MS);
    return () => timer.cancel();
  }

  /** Closes all connections. */
  closeAll(): void {
    for (const conn of this.#open) closeQuietly(conn);
  }

  #watchStreams(conn: Deno.Conn): void {
    if (!this.#open.has(conn) || this.#streamed.has(conn)) return;
    this.#streamed.add(conn);
    // Sweeps often enough that closed connections never make up the larger part of the set.
    if (++this.#streamedSinceSweep > Math.max(SWEEP_AFTER, this.#streamed.size / 2)) this.sweep();
  }

  #remove(conn: Deno.Conn): void {
    this.#streamed.delete(conn);
    if (this.#open.delete(conn)) this.onChange?.();
  }
}

/** Closes a connection, which its handler or its streams may have closed already. */
export function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/**
 * The connections that a coroutine server has accepted and not closed yet.
 *
 * A connection tells of its closing when `close` is called on it. One that is used through its
 * streams is closed by them, without a word; {@linkcode ConnectionSet.sweep} finds these out.
 *
 * Every connection is held until it is known to be closed: its streams work without the object
 * itself, so that it being collected would prove nothing.
 *
 * @module
 */

const NOTHING = new Uint8Array();

/** So many uses as streams are let pass, at least, before the next look at them. */
const SWEEP_AFTER = 64;

/** Open connections. */
export class ConnectionSet {
  /** Called when a connection was found closed. */
  onChange: (() => void) | undefined;
  readonly #open = new Set<Deno.Conn>();
  /** Those of them that are used as streams. */
  readonly #streamed = new Set<Deno.Conn>();
  #streamedSinceSweep = 0;

  /** How many there are; some of those that are used as streams may be closed already. */
  get count(): number {
    return this.#open.size;
  }

  /** All of them. */
  values(): Iterable<Deno.Conn> {
    return this.#open.values();
  }

  /**
   * Takes up a connection, whose ways to be closed are replaced by such that tell.
   *
   * @param conn The connection, just accepted.
   * @returns The same object.
   */
  add<C extends Deno.Conn>(conn: C): C {
    this.#open.add(conn);
    for (const name of ["close", Symbol.dispose] as const) {
      const close = conn[name];
      conn[name] = () => {
        try {
          close.call(conn);
        } finally {
          // If it throws, the streams have closed the connection before.
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

  /** Looks for connections that their streams have closed; {@linkcode onChange} tells of them. */
  sweep(): void {
    this.#streamedSinceSweep = 0;
    for (const conn of this.#streamed) {
      // A write of nothing fails on a closed connection, and does nothing to an open one. A real
      // write may be under way, and then this one waits behind it: hence no await.
      conn.write(NOTHING).catch((error) => {
        if (error instanceof Deno.errors.BadResource) this.#remove(conn);
      });
    }
  }

  /** Closes all. */
  closeAll(): void {
    for (const conn of this.#open) {
      try {
        conn.close();
      } catch (error) {
        // One that its streams have closed.
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    }
  }

  #watchStreams(conn: Deno.Conn): void {
    if (!this.#open.has(conn) || this.#streamed.has(conn)) return;
    this.#streamed.add(conn);
    // Now and then, so that those that are closed never make up the larger part.
    if (++this.#streamedSinceSweep > Math.max(SWEEP_AFTER, this.#streamed.size / 2)) this.sweep();
  }

  #remove(conn: Deno.Conn): void {
    this.#streamed.delete(conn);
    if (this.#open.delete(conn)) this.onChange?.();
  }
}

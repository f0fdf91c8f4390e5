/**
 * The connection whose handler runs: it is known in whatever the handler starts, so that an error which nobody
 * handles ends this connection and no other.
 *
 * @module
 */
import type { AsyncLocalStorage } from "node:async_hooks";

/** Costs 4 MiB in a process, so only the programs that ask for it have it. */
let current: AsyncLocalStorage<Deno.Conn> | undefined;

/** Makes {@linkcode runFor} keep connections. To be called before the first one. */
export async function trackConnections(): Promise<void> {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  current ??= new AsyncLocalStorage();
}

/**
 * Calls a function for a connection.
 *
 * @param conn The connection; {@linkcode currentConnection} returns it in the function and in all that it starts.
 * @param act The function.
 * @returns The result of the function.
 */
export function runFor<T>(conn: Deno.Conn, act: () => T): T {
  return current === undefined ? act() : current.run(conn, act);
}

/** The connection whose handler has led here; undefined outside of handlers, and where none is kept. */
export function currentConnection(): Deno.Conn | undefined {
  return current?.getStore();
}

/** Closes a connection, which may be closed already. */
export function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    // Its handler or its streams have closed it.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

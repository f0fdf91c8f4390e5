/**
 * The connection whose handler runs: it is known in whatever the handler starts, so that an error which nothing
 * handles ends this connection and no other.
 *
 * @module
 */
import type { AsyncLocalStorage } from "node:async_hooks";

/** A connection, and the service that it belongs to. */
export interface ServedConnection {
  readonly conn: Deno.Conn;
  /** The name of the service; may be empty. */
  readonly service: string;
}

/** Costs 4 MiB in a process, so only the programs that ask for it have it. */
let current: AsyncLocalStorage<ServedConnection> | undefined;

/** Makes {@linkcode runFor} keep connections. To be called before the first one. */
export async function trackConnections(): Promise<void> {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  current ??= new AsyncLocalStorage();
}

/**
 * Calls a function for a connection.
 *
 * @param served The connection; {@linkcode currentConnection} returns it in the function and in all that it
 * starts.
 * @param act The function.
 * @returns The result of the function.
 */
export function runFor<T>(served: ServedConnection, act: () => T): T {
  return current === undefined ? act() : current.run(served, act);
}

/** The connection whose handler has led here; undefined outside of handlers, and where none is kept. */
export function currentConnection(): ServedConnection | undefined {
  return current?.getStore();
}

/**
 * The service and the connection whose handler runs: they are known in whatever the handler starts, so that an error
 * which nothing handles names its service, and ends its connection and no other.
 *
 * @module
 */
import type { AsyncLocalStorage } from "node:async_hooks";

/** A service, and its connection where it has one for each handler. */
export interface Served {
  readonly conn?: Deno.Conn;
  /** The name of the service; may be empty. */
  readonly service: string;
}

/** Costs 4 MiB in a process, so only the programs that ask for it have it. */
let current: AsyncLocalStorage<Served> | undefined;

/** Makes {@linkcode runFor} keep what it is given. To be called before the first service is served. */
export async function trackServed(): Promise<void> {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  current ??= new AsyncLocalStorage();
}

/** Whether {@linkcode runFor} keeps anything. */
export function isTracked(): boolean {
  return current !== undefined;
}

/**
 * Calls a function for a service or a connection.
 *
 * @param served Which; {@linkcode currentlyServed} returns it in the function and in all that it starts.
 * @param act The function.
 * @returns The result of the function.
 */
export function runFor<T>(served: Served, act: () => T): T {
  return current === undefined ? act() : current.run(served, act);
}

/** What has led here; undefined outside of services, and where nothing is kept. */
export function currentlyServed(): Served | undefined {
  return current?.getStore();
}

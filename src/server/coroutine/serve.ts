/**
 * Tasks, listeners and pipes for authors of coroutine servers.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import type { FdType } from "../../os/net/socket.ts";
import { FifoReader } from "../fifo/fifo.ts";
import { closeQuietly } from "../lifecycle/connection_set.ts";
import { isPeerGone } from "../lifecycle/ended_connection.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { logFault } from "../lifecycle/missing_permission.ts";
import { openServiceListener } from "../listen/service_listener.ts";
import { HandshakeError } from "../tls/errors.ts";

export { FifoReader } from "../fifo/fifo.ts";
export type { FdType } from "../../os/net/socket.ts";

/**
 * Starts a task (LIB-ZC's `zcoroutine_go`). An error in it is logged with its stack and ends only
 * that task.
 *
 * @param task What to run; it begins at once.
 *
 * @example
 * ```ts
 * import { coroutineGo } from "@zc/master/coroutine-server";
 *
 * coroutineGo(async () => {
 *   for await (const { name } of Deno.readDir(".")) console.log(name);
 * });
 * ```
 */
export function coroutineGo(task: () => unknown): void {
  (async () => await task())().catch((error) => logFault("error in a coroutine:", error));
}

/**
 * A native listener over a descriptor of `serviceRegister`. Its `accept` survives every error that
 * accept(2) can have: a client that is gone again, a lack of descriptors. It is closed when the
 * server is told to stop or detaches, which ends a `for await` over it.
 *
 * A server that drains waits until `close` was called on each connection, or its streams are
 * closed.
 *
 * Needs no permission; it is fastest with `--allow-ffi` and `--allow-net`.
 *
 * @param fd The descriptor; it is the listener's from now on.
 * @param fdType What `serviceRegister` was told.
 * @returns The listener.
 * @throws {TypeError} For a fifo, which has nothing to accept: see {@linkcode coroutineFifo}.
 *
 * @example
 * ```ts
 * import { coroutineGo, coroutineListen, coroutineServerMain } from "@zc/master/coroutine-server";
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     await coroutineServerMain({
 *       serviceRegister(_service, fd, fdType) {
 *         coroutineGo(async () => {
 *           for await (const conn of coroutineListen(fd, fdType)) {
 *             coroutineGo(() => conn.readable.pipeTo(conn.writable));
 *           }
 *         });
 *       },
 *     }),
 *   );
 * }
 * ```
 */
export function coroutineListen(fd: number, fdType: FdType): Deno.Listener {
  return openServiceListener(fd, fdType);
}

/**
 * The named pipe of a `fifo` service, to read from.
 *
 * @param fd The descriptor; it is the reader's from now on.
 * @returns The reader; it is closed when the server is told to stop.
 */
export function coroutineFifo(fd: number): FifoReader {
  return new FifoReader(fd);
}

/** Serves one connection; it is closed when the promise settles, if it is still open. */
export type ConnectionHandler = (conn: Deno.Conn) => void | Promise<void>;

/**
 * Accepts connections and serves each in a task of its own, until the server is told to stop: the
 * loop that everybody would write. A server that drains waits until the last handler has returned.
 *
 * Needs the permissions of {@linkcode coroutineListen}.
 *
 * @param fd The descriptor; it is the loop's from now on.
 * @param fdType What `serviceRegister` was told; not `fifo`.
 * @param handler Serves one connection.
 *
 * @example
 * ```ts
 * import { coroutineServe, coroutineServerMain } from "@zc/master/coroutine-server";
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     await coroutineServerMain({
 *       serviceRegister(_service, fd, fdType) {
 *         coroutineServe(fd, fdType, async (conn) => {
 *           await conn.write(new TextEncoder().encode("hello\n"));
 *         });
 *       },
 *     }),
 *   );
 * }
 * ```
 */
export function coroutineServe(fd: number, fdType: FdType, handler: ConnectionHandler): void {
  const listener = openServiceListener(fd, fdType);
  coroutineGo(async () => {
    for (let conn; (conn = await listener.next()) !== undefined;) serveOne(conn, handler);
  });
}

/**
 * Serves one connection, and closes it; a draining server waits for it.
 *
 * @param conn The connection.
 * @param handler Serves it. Its exceptions are logged.
 */
export async function serveOne(conn: Deno.Conn, handler: ConnectionHandler): Promise<void> {
  const finished = serverLifecycle.activity.begin();
  try {
    await handler(conn);
  } catch (error) {
    if (isPeerGone(error) || error instanceof HandshakeError) zdebug("a client has gone:", error);
    else logFault("error while serving a connection:", error);
  } finally {
    closeQuietly(conn);
    finished();
  }
}

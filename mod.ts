/**
 * A process manager and server framework.
 *
 * A **master** opens the listening sockets that its settings files name, starts the processes that
 * each file asks for, and hands them the open sockets. It starts a new process as soon as one ends,
 * reloads on SIGHUP, and never accepts a connection itself. A **server** is a few lines around
 * {@linkcode aioServerMain} (callbacks) or {@linkcode coroutineServerMain} (async and await).
 *
 * The same parts one by one: `@zc/master/master`, `@zc/master/aio-server` and
 * `@zc/master/coroutine-server`; a server loads less when it imports its own.
 *
 * @example The master
 * ```sh
 * deno run -A jsr:@zc/master/master -C conf
 * ```
 *
 * @example A server
 * ```ts
 * import { coroutineServe, coroutineServerMain } from "@zc/master";
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     await coroutineServerMain({
 *       serviceRegister: (_service, fd, fdType) =>
 *         coroutineServe(fd, fdType, (conn) => conn.readable.pipeTo(conn.writable)),
 *     }),
 *   );
 * }
 * ```
 *
 * @module
 */
export * from "./aio_server.ts";
export * from "./coroutine_server.ts";
export * from "./master.ts";
export * from "./serve.ts";

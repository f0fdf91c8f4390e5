/**
 * A process manager and server framework.
 *
 * A **master** opens the listening sockets that its settings files name, starts the processes that
 * each file asks for, and hands them the open sockets. It starts a new process as soon as one ends,
 * reloads on SIGHUP, and never accepts a connection itself. A **server** is one call
 * of {@linkcode serve}, or a few lines around {@linkcode aioServerMain} (callbacks) or
 * {@linkcode coroutineServerMain} (async and await), or any web program for Deno, unchanged.
 *
 * The same parts one by one: `@zc/master/master`, `@zc/master/serve`, `@zc/master/aio-server` and
 * `@zc/master/coroutine-server`; a server loads less when it imports its own. `@zc/master/control` is a
 * client of a running master.
 *
 * @example The master
 * ```sh
 * deno run -A jsr:@zc/master/master -C conf
 * ```
 *
 * @example A server
 * ```ts
 * import { connections, serve } from "@zc/master";
 *
 * if (import.meta.main) {
 *   await serve({
 *     web: () => new Response("hello\n"),
 *     echo: connections((conn) => conn.readable.pipeTo(conn.writable)),
 *   });
 * }
 * ```
 *
 * @module
 */
export * from "./aio_server.ts";
export * from "./coroutine_server.ts";
export * from "./master.ts";
export * from "./serve.ts";

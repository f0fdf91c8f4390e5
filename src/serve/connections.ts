/**
 * Services that speak a protocol of their own: one async function for each connection.
 *
 * @module
 */
import { requireOptions } from "../config/check_options.ts";
import { coroutineServe } from "../server/coroutine/serve.ts";
import { coroutineServeTls } from "../server/coroutine/serve_tls.ts";
import { runFor, trackServed } from "../server/lifecycle/served.ts";
import { ServiceCertificate, type ServiceTls } from "./certificate.ts";
import { OF_CONNECTIONS, requireType, Service, type ServiceContext } from "./service.ts";

/** The options of {@linkcode connections}. */
export interface ConnectionOptions {
  /**
   * TLS from the first byte on with this certificate, or, if true, with the one of `server-tls-cert` and
   * `server-tls-key`. The handler is called when the handshake is done.
   *
   * @default No TLS.
   */
  readonly tls?: ServiceTls;
}

/** Serves one connection, which is closed when the promise settles, if it is still open. */
export type ClientHandler = (
  conn: Deno.Conn,
  context: ServiceContext,
) => void | Promise<void>;

/**
 * A service with one async function for each connection. An error in the function, and a rejection that nothing in
 * it handles, is logged and ends its connection; all others go on. A read or write that fails because its connection
 * has ended closes no other one: a function may write to the clients of others without a wait.
 *
 * @param handler Serves one connection. A server that drains waits for it; `signal` tells it to come to an end.
 * @param options The options.
 * @returns The service, for `serve`.
 *
 * @example
 * ```ts
 * import { connections, serve } from "@zc/master/serve";
 *
 * if (import.meta.main) {
 *   await serve({ echo: connections((conn) => conn.readable.pipeTo(conn.writable)) });
 * }
 * ```
 */
export function connections(
  handler: ClientHandler,
  options: ConnectionOptions = {},
): Service {
  requireOptions("connections", options, { tls: true });
  const { tls } = options;
  const certificate = tls && new ServiceCertificate(tls);
  return new Service(async (fd, fdType, context) => {
    const { service } = context;
    requireType(service, fdType, OF_CONNECTIONS);
    await trackServed();
    const serveOne = (conn: Deno.Conn) => runFor({ conn, service }, () => handler(conn, context));
    if (certificate === undefined) coroutineServe(fd, fdType, serveOne);
    else coroutineServeTls(fd, fdType, serveOne, { tls: certificate.context() });
  }, () => certificate?.prepare());
}

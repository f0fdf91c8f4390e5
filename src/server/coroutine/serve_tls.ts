/**
 * TLS for authors of coroutine servers.
 *
 * @module
 */
import type { FdType } from "../../os/net/socket.ts";
import { coroutineGo, serveOne } from "./serve.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { handshake, injected, TlsContext, type TlsOptions } from "../tls/context.ts";
import { acceptTls, openTlsListener } from "../tls/listener.ts";

/**
 * A listener of TLS connections over a descriptor of `serviceRegister`; else like `coroutineListen`. It
 * gives out connections before their handshake, so that a slow client does not delay the next one: a
 * handshake that fails shows at the first read or write. There is no limit of its own on the time;
 * {@linkcode coroutineServeTls} has one.
 *
 * Needs `--allow-read` for the two files; it is fastest with `--allow-ffi` and `--allow-net`.
 *
 * @param fd The descriptor; it is the listener's from now on.
 * @param fdType What `serviceRegister` was told.
 * @param tls Certificate and key.
 * @returns The listener.
 * @throws {ConfigError} When certificate or key are unusable; it names the file.
 * @throws {TypeError} For a fifo.
 *
 * @example
 * ```ts
 * import { coroutineGo, coroutineListenTls } from "@zc/master/coroutine-server";
 *
 * function serviceRegister(_service: string, fd: number, fdType: "inet" | "unix" | "fifo") {
 *   const listener = coroutineListenTls(fd, fdType, { certFile: "a.crt", keyFile: "a.key" });
 *   coroutineGo(async () => {
 *     for await (const conn of listener) {
 *       coroutineGo(() => conn.readable.pipeTo(conn.writable));
 *     }
 *   });
 * }
 * ```
 */
export function coroutineListenTls(
  fd: number,
  fdType: FdType,
  tls: TlsOptions | TlsContext,
): Deno.Listener<Deno.TlsConn> {
  return openTlsListener(fd, fdType, TlsContext.of(tls));
}

/** Serves one connection over TLS; it is closed when the promise settles, if it is still open. */
export type TlsConnectionHandler = (conn: Deno.TlsConn) => void | Promise<void>;

/** The options of `coroutineServeTls`. */
export interface ServeTlsOptions {
  /** Certificate and key. */
  readonly tls: TlsOptions | TlsContext;
}

/**
 * As `coroutineServe`, over TLS: the handler is called when the handshake is done, and a client that
 * takes longer for it than `handshakeSeconds` is closed. Handshakes that fail are told of by `zdebug`.
 *
 * Needs the permissions of {@linkcode coroutineListenTls}.
 *
 * @param fd The descriptor; it is the loop's from now on.
 * @param fdType What `serviceRegister` was told; not `fifo`.
 * @param handler Serves one connection.
 * @param options Certificate and key.
 * @throws {ConfigError} When certificate or key are unusable; it names the file.
 *
 * @example
 * ```ts
 * import { coroutineServerMain, coroutineServeTls } from "@zc/master/coroutine-server";
 *
 * if (import.meta.main) {
 *   const tls = { certFile: "server.crt", keyFile: "server.key" };
 *   Deno.exit(
 *     await coroutineServerMain({
 *       serviceRegister(_service, fd, fdType) {
 *         coroutineServeTls(fd, fdType, async (conn) => {
 *           await conn.write(new TextEncoder().encode("hello\n"));
 *         }, { tls });
 *       },
 *     }),
 *   );
 * }
 * ```
 */
export function coroutineServeTls(
  fd: number,
  fdType: FdType,
  handler: TlsConnectionHandler,
  { tls }: ServeTlsOptions,
): void {
  const context = TlsContext.of(tls);
  const listener = openTlsListener(fd, fdType, context);
  const serve = (conn: Deno.TlsConn) => serveOne(conn, () => handler(conn));
  coroutineGo(() => acceptTls({ listener, context, serve }));
}

/** The options of `coroutineStartTls`. */
export interface StartTlsOptions {
  /** Certificate and key. */
  readonly tls: TlsOptions | TlsContext;
  /**
   * The bytes that were read after the request for TLS and are unused. They arrived without TLS, maybe not from the
   * client, and must not count as data of the TLS connection (CVE-2011-0411): unless empty, they are an error.
   */
  readonly unread: Uint8Array;
}

/**
 * Starts TLS on an open connection, as the server, and waits for the handshake: a server calls this after it has
 * answered STARTTLS. A client that takes longer than `handshakeSeconds` is closed.
 *
 * Needs `--allow-read` for the two files; it is fastest with `--allow-ffi` and `--allow-net`.
 *
 * @param conn The connection, with no read or write under way. Once the promise is fulfilled, `close` of either
 * object closes the connection.
 * @param options Certificate and key, and the unread bytes.
 * @returns The same connection over TLS.
 * @throws {ConfigError} When certificate or key are unusable; it names the file.
 * @throws {HandshakeError} When there are `unread` bytes, and the connection is unchanged; or when the client
 * took too long or failed, and the connection is closed.
 */
export async function coroutineStartTls(
  conn: Deno.Conn,
  { tls, unread }: StartTlsOptions,
): Promise<Deno.TlsConn> {
  const context = TlsContext.of(tls);
  if (unread.length > 0) throw injected(unread.length);
  // For a moment neither of the two connections counts.
  const finished = serverLifecycle.activity.begin();
  try {
    const secure = serverLifecycle.connections.add(await context.upgrade(conn));
    await handshake(secure, context.handshakeSeconds);
    return secure;
  } finally {
    finished();
  }
}

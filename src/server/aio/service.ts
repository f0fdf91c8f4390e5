/**
 * The accept loop of the aio mode: connections of an inherited descriptor become `Aio` objects.
 *
 * @module
 */
import { requireOptions } from "../../config/check_options.ts";
import type { FdType } from "../../os/net/socket.ts";
import { backend } from "../backend/chosen.ts";
import { Aio, type AioCallback, aioOver } from "./aio.ts";
import { DirectTransport } from "./direct_transport.ts";
import { FifoTransport } from "./fifo_transport.ts";
import { DirectListener } from "../listen/direct_listener.ts";
import { AioBase, coreOf } from "./base.ts";
import type { ConnEnds } from "../backend/fd_conn.ts";
import { FifoReader } from "../fifo/fifo.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { logFault } from "../lifecycle/missing_permission.ts";
import { openServiceListener, type ServiceListener } from "../listen/service_listener.ts";
import { TlsContext, type TlsOptions } from "../tls/context.ts";
import { acceptTls, openTlsListener } from "../tls/listener.ts";

/**
 * The event base of the process (LIB-ZC's `zvar_default_aio_base`). Exceptions of callbacks are logged with their
 * stack.
 */
export const defaultAioBase: AioBase = new AioBase({
  onError: (error) => logFault("error in an aio callback:", error),
});

/** The named pipes of each base. */
const pipesOf = new WeakMap<AioBase, FifoReader[]>();

/** Makes a draining server wait for the connections of a base. */
function waitFor(base: AioBase): FifoReader[] {
  const known = pipesOf.get(base);
  if (known !== undefined) return known;
  const pipes: FifoReader[] = [];
  pipesOf.set(base, pipes);
  coreOf(base).onLastClosed = () => serverLifecycle.reportIdle();
  serverLifecycle.waitFor({
    get count() {
      return base.connectionCount;
    },
    get standing() {
      return pipes.filter(({ isOpen }) => isOpen).length;
    },
    closeAll: () => base.closeAll(),
  });
  return pipes;
}

/** A service that was registered. */
export interface AioService {
  /** Stops accepting; open connections stay. */
  close(): void;
}

/** The options of {@linkcode aioServerGeneralAioRegister}. */
export interface AioServiceOptions {
  /**
   * Certificate and key: the callback receives TLS connections after their handshake. A connection whose
   * handshake takes longer than `handshakeSeconds` is closed.
   *
   * @default No TLS.
   */
  readonly tls?: TlsOptions | TlsContext;
}

/**
 * Accepts the connections of a service and calls back with an `Aio` for each, until the server is
 * told to stop or detaches. For a `fifo` it calls back once, with an `Aio` over the pipe itself,
 * which can be read and is never accepted.
 *
 * A server that drains waits until each `Aio` is closed or released.
 *
 * Needs no permission, with TLS `--allow-read` for the two files; it is fastest with `--allow-ffi` and
 * `--allow-net`.
 *
 * @param base The base of the new `Aio` objects.
 * @param fd The descriptor of `serviceRegister`; it is the service's from now on.
 * @param fdType What `serviceRegister` was told.
 * @param callback Gets each new `Aio`.
 * @param options What else can be set.
 * @returns The service.
 * @throws {ConfigError} When certificate or key are unusable; it names the file.
 *
 * @example
 * ```ts
 * import {
 *   aioServerGeneralAioRegister,
 *   aioServerMain,
 *   defaultAioBase,
 * } from "@zc/master/aio-server";
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     await aioServerMain({
 *       serviceRegister(_service, fd, fdType) {
 *         aioServerGeneralAioRegister(defaultAioBase, fd, fdType, (aio) => {
 *           aio.cachePuts("hello\n");
 *           aio.cacheFlush((aio) => aio.close());
 *         });
 *       },
 *     }),
 *   );
 * }
 * ```
 */
export function aioServerGeneralAioRegister(
  base: AioBase,
  fd: number,
  fdType: FdType,
  callback: AioCallback,
  options: AioServiceOptions = {},
): AioService {
  requireOptions("aioServerGeneralAioRegister", options, { tls: true });
  const { tls } = options;
  const pipes = waitFor(base);
  if (fdType === "fifo") {
    const fifo = new FifoReader(fd);
    pipes.push(fifo);
    start(aioOver(new FifoTransport(fifo), base), callback);
    return fifo;
  }
  if (tls !== undefined) {
    const context = TlsContext.of(tls);
    const listener = openTlsListener(fd, fdType, context);
    const serve = (conn: Deno.TlsConn) => start(new Aio(conn, base), callback);
    acceptTls({ listener, context, serve });
    return listener;
  }
  if (backend().makesSystemCalls) {
    const serve = (fd: number, ends: ConnEnds) =>
      start(aioOver(new DirectTransport(fd, ends), base), callback);
    return new DirectListener(fd, fdType, serve);
  }
  const listener = openServiceListener(fd, fdType);
  acceptAll(listener, (conn) => start(new Aio(conn, base), callback));
  return listener;
}

async function acceptAll(listener: ServiceListener, serve: (conn: Deno.Conn) => void) {
  for (let conn; (conn = await listener.next()) !== undefined;) serve(conn);
}

/** The first callback of an `Aio`, whose errors end that `Aio` as those of the later ones do. */
function start(aio: Aio, callback: AioCallback): void {
  const fail = (error: unknown) => coreOf(aio.base).fail(error, aio);
  try {
    // An async callback returns a promise, whatever the type says.
    const returned: unknown = callback(aio);
    if (returned instanceof Promise) returned.catch(fail);
  } catch (error) {
    fail(error);
  }
}

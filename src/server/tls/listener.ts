/**
 * A listener over an inherited descriptor for TLS connections.
 *
 * @module
 */
import { zdebug, zinfo } from "../../log/log.ts";
import { AdoptError, adoptInto } from "../../os/adopt/listener.ts";
import { listenThrowaway } from "../../os/adopt/tls.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { sendAtOnce } from "../../os/net/connections.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import { describeListener, type FdType } from "../../os/net/socket.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import {
  adoptedSocket,
  openServiceListener,
  runtimeAddr,
  ServiceListener,
} from "../listen/service_listener.ts";
import { boundHandshakes, closingGently, handshake, type TlsContext } from "./context.ts";

/** The replaceable parts of {@linkcode openTlsListener}. */
export interface TlsListenerOptions {
  /** Makes a native TLS listener on a borrowed descriptor, or throws `AdoptError`. */
  readonly adopt?: (fd: number, context: TlsContext) => Deno.Listener;
}

/**
 * Makes a TLS listener over an inherited descriptor. It stops accepting at the soft stop, and returns
 * connections before their handshake, so that a slow client does not delay the next one.
 *
 * @param fd The descriptor, owned by the listener.
 * @param fdType The type that `serviceRegister` received.
 * @param context Certificate and key.
 * @param options The replaceable parts.
 * @returns The listener.
 * @throws {TypeError} For a fifo, or when `fd` is no listening socket.
 */
export function openTlsListener(
  fd: number,
  fdType: FdType,
  context: TlsContext,
  { adopt = adoptTls }: TlsListenerOptions = {},
): TlsServiceListener {
  const plain = () => new TlsServiceListener(openServiceListener(fd, fdType), context);
  // The runtime's own TLS listeners are for TCP only.
  if (fdType !== "inet" || !mayUseFfi()) return plain();
  const addr = runtimeAddr(describeListener(fd));
  try {
    const inner = adopt(fd, context);
    closeFd(fd);
    return new TlsServiceListener(new ServiceListener(inner, addr, adoptedSocket(inner, fd)));
  } catch (error) {
    if (!(error instanceof AdoptError)) throw error;
    // What is missing is told where one without TLS is not permitted either.
    if (!(error.cause instanceof Deno.errors.NotCapable)) {
      zinfo(`${error.message}; TLS is put on the connections of descriptor ${fd} one by one`);
    }
    return plain();
  }
}

function adoptTls(fd: number, { certificate }: TlsContext): Deno.Listener {
  sendAtOnce(fd);
  return adoptInto(fd, () => listenThrowaway(certificate));
}

/** See {@linkcode openTlsListener}. */
export class TlsServiceListener implements Deno.Listener<Deno.TlsConn> {
  readonly #inner: ServiceListener;
  /** Set if `inner` accepts connections without TLS. */
  readonly #context: TlsContext | undefined;

  /**
   * @param inner The accepting listener.
   * @param context Starts TLS on its connections, if they have none.
   */
  constructor(inner: ServiceListener, context?: TlsContext) {
    this.#inner = inner;
    this.#context = context;
    serverLifecycle.softstopSignal.addEventListener(
      "abort",
      () => boundHandshakes(serverLifecycle.connections.values()),
      { once: true },
    );
  }

  /** The address of the listener. */
  get addr(): Deno.Addr {
    return this.#inner.addr;
  }

  /** Like `ServiceListener.accept`. */
  async accept(): Promise<Deno.TlsConn> {
    const conn = await this.next();
    if (conn === undefined) throw new Deno.errors.BadResource("Listener has been closed");
    return serverLifecycle.connections.add(conn);
  }

  /** Like `ServiceListener.next`. */
  async next(): Promise<Deno.TlsConn | undefined> {
    for (let conn; (conn = await this.#inner.next()) !== undefined;) {
      if (this.#context === undefined) return closingGently(conn as Deno.TlsConn);
      const finished = serverLifecycle.activity.begin();
      try {
        return await this.#context.upgrade(conn);
      } catch (error) {
        zdebug("a client has gone before its TLS handshake:", (error as Error).message);
      } finally {
        // The caller receives it in a moment.
        systemClock.setTimer(0, finished);
      }
    }
    return undefined;
  }

  /** Stops listening. A second call does nothing. */
  close(): void {
    this.#inner.close();
  }

  /** See `Deno.Listener`. */
  ref(): void {
    this.#inner.ref();
  }

  /** See `Deno.Listener`. */
  unref(): void {
    this.#inner.unref();
  }

  /** Accepts until the listener is closed; the end of a loop over it closes it, too. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Deno.TlsConn> {
    try {
      for (let conn; (conn = await this.next()) !== undefined;) {
        yield serverLifecycle.connections.add(conn);
      }
    } finally {
      this.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A TLS service, whose connections are served after their handshakes. */
export interface TlsService {
  readonly listener: TlsServiceListener;
  readonly context: TlsContext;
  /** Serves one connection after its handshake. */
  readonly serve: (conn: Deno.TlsConn) => unknown;
}

/**
 * Accepts until the listener is closed. Handshakes run concurrently, each with its time limit; a draining
 * server waits for the ones that have begun.
 */
export async function acceptTls({ listener, context, serve }: TlsService): Promise<void> {
  for (let conn; (conn = await listener.next()) !== undefined;) {
    const secure = conn;
    const finished = serverLifecycle.activity.begin();
    handshake(secure, context.handshakeSeconds)
      .then(() => serve(secure), () => {
        // The failure was logged, and the connection is closed.
      })
      .finally(finished);
  }
}

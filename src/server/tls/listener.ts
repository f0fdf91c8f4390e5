/**
 * A listener over an inherited descriptor for TLS connections.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { systemClock } from "../../os/clock/clock.ts";
import type { FdType } from "../../os/net/socket.ts";
import type { Backend } from "../backend/backend.ts";
import { backend } from "../backend/chosen.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import {
  CountedListener,
  listenerOver,
  openServiceListener,
  type ServiceListener,
} from "../listen/service_listener.ts";
import { boundHandshakes, closingGently, handshake, type TlsContext } from "./context.ts";

/** The replaceable parts of {@linkcode openTlsListener}. */
export interface TlsListenerOptions {
  /** Opens the socket. */
  readonly via?: Pick<Backend, "addressOf" | "listen" | "listenTls">;
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
  { via = backend() }: TlsListenerOptions = {},
): TlsServiceListener {
  if (fdType === "inet") {
    const address = via.addressOf(fd);
    const opened = via.listenTls(fd, context);
    if (opened !== undefined) {
      return new TlsServiceListener(listenerOver(opened, { granted: fd, address }));
    }
  }
  return new TlsServiceListener(openServiceListener(fd, fdType, { via }), context);
}

/** See {@linkcode openTlsListener}. */
export class TlsServiceListener extends CountedListener<Deno.TlsConn> {
  readonly #inner: ServiceListener;
  /** Set if `inner` accepts connections without TLS. */
  readonly #context: TlsContext | undefined;

  /**
   * @param inner The accepting listener.
   * @param context Starts TLS on its connections, if they have none.
   */
  constructor(inner: ServiceListener, context?: TlsContext) {
    super();
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

  close(): void {
    this.#inner.close();
  }

  ref(): void {
    this.#inner.ref();
  }

  unref(): void {
    this.#inner.unref();
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

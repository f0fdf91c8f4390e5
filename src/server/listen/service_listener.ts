/**
 * A listener over an inherited descriptor that survives accept errors and FD exhaustion.
 *
 * accept(2) reports errors of connections that are gone already, and fails while no descriptor is free. A
 * loop over the runtime's listener would end at the first of these errors, and the server would never
 * accept again.
 *
 * @module
 */
import { defaultConfig } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { SERVER_BALANCE, SERVER_PROC_COUNT } from "../../config/settings.ts";
import {
  adoptedDescriptor,
  AdoptError,
  adoptListener,
  releaseAdopted,
} from "../../os/adopt/listener.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import { type FdType, type ListenAddress, listenAddressOf } from "../../os/net/socket.ts";
import { reserveDescriptor } from "../../os/fd/reserve_fd.ts";
import { type AcceptCounts, countAccepts } from "./accept_counts.ts";
import { concernsConnection } from "./accept_errors.ts";
import { AcceptPace } from "./accept_pace.ts";
import { closeServed } from "./drain_queue.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { logSlowWay } from "../lifecycle/missing_permission.ts";
import { serviceAddress } from "./service_address.ts";
import { FdExhaustion } from "./fd_exhaustion.ts";
import { serverUsage } from "../lifecycle/usage.ts";

/** The replaceable parts of {@linkcode openServiceListener}. */
export interface ServiceListenerOptions {
  /** Makes a native listener on a borrowed descriptor, or throws `AdoptError`. */
  readonly adopt?: (fd: number) => Deno.Listener;
}

/**
 * Makes a listener over an inherited descriptor. It stops accepting at the soft stop.
 *
 * @param fd The descriptor, owned by the listener.
 * @param fdType The type that `serviceRegister` received.
 * @param options The replaceable parts.
 * @returns The listener.
 * @throws {TypeError} For a fifo, or when `fd` is no listening socket.
 */
export function openServiceListener(
  fd: number,
  fdType: FdType,
  { adopt = adoptListener }: ServiceListenerOptions = {},
): ServiceListener {
  if (fdType === "fifo") {
    throw new TypeError(`Cannot listen on descriptor ${fd}: a fifo, expected "inet" or "unix"`);
  }
  const addr = runtimeAddr(serviceAddress(fd));
  if (!mayUseFfi()) return new ServiceListener(listenByNode(fd, addr), addr, { granted: fd });
  let inner: Deno.Listener;
  try {
    inner = adopt(fd);
  } catch (error) {
    if (!(error instanceof AdoptError)) throw error;
    logSlowWay(fd, error);
    const inner = import("./fd_accept.ts").then(({ FdListener }) => new FdListener(fd, addr));
    return new ServiceListener(inner, addr, {
      granted: fd,
      fd,
      shared: isShared(listenAddressOf(addr)),
    });
  }
  closeFd(fd);
  return new ServiceListener(inner, addr, adoptedSocket(inner, fd));
}

/** Describes the socket of an adopted listener; `granted` is the descriptor from the master. */
export function adoptedSocket(inner: Deno.Listener, granted: number): SharedSocket {
  const shared = isShared(listenAddressOf(inner.addr));
  return { granted, fd: adoptedDescriptor(inner), shared };
}

/** Whether other processes accept on the same socket as this one. */
export function isShared({ kind }: Pick<ListenAddress, "kind">): boolean {
  const hasItsOwn = kind === "inet" && readStrictly(defaultConfig, SERVER_BALANCE) === "reuseport";
  return !hasItsOwn && readStrictly(defaultConfig, SERVER_PROC_COUNT) > 1;
}

async function listenByNode(fd: number, addr: Deno.Addr): Promise<Deno.Listener> {
  const { listenNode } = await import("./node_net.ts");
  return await listenNode(fd, addr);
}

/** Converts an address to the runtime's form. */
export function runtimeAddr(address: ListenAddress): Deno.Addr {
  return address.kind === "inet"
    ? { transport: "tcp", hostname: address.hostname, port: address.port }
    : { transport: "unix", path: address.path };
}

/** The socket of a {@linkcode ServiceListener}. */
export interface SharedSocket {
  /** The descriptor as `serviceRegister` received it, which names this listener in the master's messages. */
  readonly granted?: number;
  /** A borrowed descriptor of the socket, valid until the listener is closed. */
  readonly fd?: number;
  /** Whether other processes accept on it; default false. */
  readonly shared?: boolean;
}

/** See {@linkcode openServiceListener}. */
export class ServiceListener implements Deno.Listener {
  readonly #inner: Deno.Listener | Promise<Deno.Listener>;
  readonly #counts: AcceptCounts;
  readonly #fdExhaustion: FdExhaustion;
  readonly #pace: AcceptPace | undefined;
  readonly #releases: (() => void)[] = [];
  #closed = false;
  #accepting = false;
  #onAccepted?: () => void;

  /** Wraps `inner`, a listener of the runtime or of node:net that is bound to `addr`. */
  constructor(
    inner: Deno.Listener | Promise<Deno.Listener>,
    readonly addr: Deno.Addr,
    { granted, fd, shared = false }: SharedSocket = {},
  ) {
    this.#inner = inner;
    this.#counts = countAccepts(listenAddressOf(addr));
    this.#fdExhaustion = new FdExhaustion(this.#counts, { fd });
    if (shared) this.#pace = new AcceptPace();
    if (fd !== undefined) this.#releases.push(reserveDescriptor.hold());
    // After a stop this closes the listener at once.
    const forget = serverLifecycle.onStopAccepting(
      (last) => closeServed(() => this.close(), { last, fd }),
      granted,
    );
    if (!this.#closed) this.#releases.push(forget);
  }

  /**
   * Accepts the next connection, which counts as open until its `close` is called.
   *
   * @throws {Deno.errors.BadResource} When the listener is closed.
   * @throws {Deno.errors.Busy} When an earlier call still waits.
   */
  async accept(): Promise<Deno.Conn> {
    const conn = await this.next();
    if (conn === undefined) throw new Deno.errors.BadResource("Listener has been closed");
    return serverLifecycle.connections.add(conn);
  }

  /** Accepts like {@linkcode accept}, without counting the connection; undefined when closed. */
  async next(): Promise<Deno.Conn | undefined> {
    if (this.#accepting) throw new Deno.errors.Busy("Another accept task is ongoing");
    this.#accepting = true;
    try {
      for (;;) {
        const pause = this.#pace?.pause();
        if (pause !== undefined) await pause;
        let conn: Deno.Conn;
        try {
          const inner = this.#inner instanceof Promise ? await this.#inner : this.#inner;
          // Called even after close: the inner listener may have accepted a connection before.
          conn = await inner.accept();
        } catch (error) {
          if (this.#closed) return undefined;
          await this.#survive(error as Error);
          continue;
        }
        this.#counts.accepted!++;
        serverUsage.accepted();
        this.#pace?.accepted();
        return conn;
      }
    } finally {
      this.#accepting = false;
      this.#onAccepted?.();
    }
  }

  async #survive(error: Error): Promise<void> {
    this.#counts.errors++;
    if (concernsConnection(error)) return;
    await this.#fdExhaustion.pause(error);
  }

  /** Stops listening. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // First, since another listener may wait for the address.
    if (!(this.#inner instanceof Promise)) releaseAdopted(this.#inner);
    this.#awaitAccepted();
    this.#fdExhaustion.stop();
    this.#withInner((inner) => inner.close());
    this.#counts.log();
    for (const release of this.#releases) release();
  }

  /**
   * Keeps a drain waiting for a moment: a connection may be accepted but not delivered to the caller yet,
   * also right after {@linkcode next} has returned.
   */
  #awaitAccepted(): void {
    // Standing, since there may be no such connection.
    const finished = serverLifecycle.activity.begin({ standing: true });
    const afterThisTurn = () => systemClock.setTimer(0, finished);
    if (this.#accepting) this.#onAccepted = afterThisTurn;
    else afterThisTurn();
  }

  /** See `Deno.Listener`. */
  ref(): void {
    this.#withInner((inner) => inner.ref());
  }

  /** See `Deno.Listener`. */
  unref(): void {
    this.#withInner((inner) => inner.unref());
  }

  #withInner(use: (inner: Deno.Listener) => void): void {
    if (!(this.#inner instanceof Promise)) return use(this.#inner);
    // If there is none, accept has told.
    this.#inner.then(use, () => {});
  }

  /** Accepts until the listener is closed, which the end of a loop over it does too. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Deno.Conn> {
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

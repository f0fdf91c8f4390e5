/**
 * A listener over an inherited descriptor that no client and no shortage can end.
 *
 * accept(2) passes on errors of a connection that is already gone, and fails while there is no
 * descriptor left; a loop over the runtime's listener would end at the first of these, and the
 * server would be deaf from then on.
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

/** What can be replaced in {@linkcode openServiceListener}. */
export interface ServiceListenerOptions {
  /** Makes a native listener for the descriptor, which it borrows, or throws `AdoptError`. */
  readonly adopt?: (fd: number) => Deno.Listener;
}

/**
 * Makes a listener over an inherited descriptor. It stops accepting when the server is told to
 * stop.
 *
 * @param fd The descriptor; the listener takes ownership of it.
 * @param fdType What `serviceRegister` was told.
 * @param options What can be replaced.
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

/**
 * What is known of the socket of a listener that was adopted.
 *
 * @param inner The listener.
 * @param granted The descriptor that it was made for.
 */
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

/** What the runtime calls an address. */
export function runtimeAddr(address: ListenAddress): Deno.Addr {
  return address.kind === "inet"
    ? { transport: "tcp", hostname: address.hostname, port: address.port }
    : { transport: "unix", path: address.path };
}

/** What a {@linkcode ServiceListener} knows of the socket that it accepts on. */
export interface SharedSocket {
  /** The descriptor that `serviceRegister` was told, by which the master means this listener. */
  readonly granted?: number;
  /** A descriptor of it, valid until the listener is closed. Borrowed. */
  readonly fd?: number;
  /** Whether other processes accept on it, too; default false. */
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

  /**
   * @param inner The listener of the runtime, or of node:net.
   * @param addr What it is bound to.
   * @param socket Its socket.
   */
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
    // When the stop has been, this closes it at once.
    const forget = serverLifecycle.onStopAccepting(
      (last) => closeServed(() => this.close(), { last, fd }),
      granted,
    );
    if (!this.#closed) this.#releases.push(forget);
  }

  /**
   * Waits for the next connection, which counts as open until its `close` is called.
   *
   * @throws {Deno.errors.BadResource} When the listener is closed.
   * @throws {Deno.errors.Busy} When an earlier call still waits.
   */
  async accept(): Promise<Deno.Conn> {
    const conn = await this.next();
    if (conn === undefined) throw new Deno.errors.BadResource("Listener has been closed");
    return serverLifecycle.connections.add(conn);
  }

  /**
   * As {@linkcode accept}, for one who reports its connections in another way.
   *
   * @returns The connection; undefined when the listener is closed.
   */
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
          // Asked even when it is closed: it may have accepted one before.
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

  /** Stops listening. Harmless the second time. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // First, since somebody may wait for the address.
    if (!(this.#inner instanceof Promise)) releaseAdopted(this.#inner);
    this.#awaitAccepted();
    this.#fdExhaustion.stop();
    this.#withInner((inner) => inner.close());
    this.#counts.log();
    for (const release of this.#releases) release();
  }

  /**
   * A connection may have been accepted and be on its way to the caller, to whom it is only there
   * in a moment, also when {@linkcode next} has just returned: until then a server that drains has
   * something under way.
   */
  #awaitAccepted(): void {
    // Standing: there may be none.
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

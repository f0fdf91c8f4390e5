/**
 * A listener over an inherited descriptor, which tells the server's lifecycle of its connections and stops
 * accepting at the soft stop.
 *
 * @module
 */
import { defaultConfig } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { SERVER_BALANCE, SERVER_PROC_COUNT } from "../../config/settings.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { type FdType, type ListenAddress, listenAddressOf } from "../../os/net/socket.ts";
import type { AcceptSource, Backend, OpenedSocket } from "../backend/backend.ts";
import { backend } from "../backend/chosen.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { serverUsage } from "../lifecycle/usage.ts";
import { AcceptLoop } from "./accept_loop.ts";
import { closeServed } from "./drain_queue.ts";

/** The replaceable parts of {@linkcode openServiceListener}. */
export interface ServiceListenerOptions {
  /** Opens the socket. */
  readonly via?: Pick<Backend, "addressOf" | "listen">;
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
  { via = backend() }: ServiceListenerOptions = {},
): ServiceListener {
  refuseFifo(fd, fdType);
  const address = via.addressOf(fd), addr = runtimeAddr(address);
  return listenerOver(via.listen(fd, addr), { granted: fd, address });
}

/** Throws for a fifo, which has no connections. */
export function refuseFifo(fd: number, fdType: FdType): void {
  if (fdType !== "fifo") return;
  throw new TypeError(`Cannot listen on descriptor ${fd}: a fifo, expected "inet" or "unix"`);
}

/** Makes a listener over an opened socket; `granted` is the descriptor from the master. */
export function listenerOver(
  { source, fd }: OpenedSocket,
  { granted, address }: { readonly granted: number; readonly address: ListenAddress },
): ServiceListener {
  // Without a descriptor node:net accepts, which can't pause.
  const shared = fd !== undefined && isShared(address);
  return new ServiceListener(source, runtimeAddr(address), { granted, fd, shared });
}

/** Whether other processes accept on the same socket as this one. */
export function isShared({ kind }: Pick<ListenAddress, "kind">): boolean {
  const hasItsOwn = kind === "inet" && readStrictly(defaultConfig, SERVER_BALANCE) === "reuseport";
  return !hasItsOwn && readStrictly(defaultConfig, SERVER_PROC_COUNT) > 1;
}

/** Converts an address to the runtime's form. */
export function runtimeAddr(address: ListenAddress): Deno.Addr {
  return address.kind === "inet"
    ? { transport: "tcp", hostname: address.hostname, port: address.port }
    : { transport: "unix", path: address.path };
}

/** A `Deno.Listener` made of `next`, whose connections count as open until their `close` is called. */
export abstract class CountedListener<C extends Deno.Conn> implements Deno.Listener<C> {
  abstract readonly addr: Deno.Addr;

  /** Accepts the next connection, without counting it; undefined when closed. */
  abstract next(): Promise<C | undefined>;

  /** Stops listening. A second call does nothing. */
  abstract close(): void;

  /** See `Deno.Listener`. */
  abstract ref(): void;

  /** See `Deno.Listener`. */
  abstract unref(): void;

  /**
   * Accepts the next connection, which counts as open until its `close` is called.
   *
   * @throws {Deno.errors.BadResource} When the listener is closed.
   * @throws {Deno.errors.Busy} When an earlier call still waits.
   */
  async accept(): Promise<C> {
    const conn = await this.next();
    if (conn === undefined) throw new Deno.errors.BadResource("Listener has been closed");
    return serverLifecycle.connections.add(conn);
  }

  /** Accepts until the listener is closed, which the end of a loop over it does too. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<C> {
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
export class ServiceListener extends CountedListener<Deno.Conn> {
  readonly addr: Deno.Addr;
  readonly #loop: AcceptLoop<Deno.Conn>;
  #forget?: () => void;
  #closed = false;
  #accepting = false;
  #onAccepted?: () => void;

  /** Accepts from `source`, which is bound to `addr`. */
  constructor(
    source: AcceptSource | Promise<AcceptSource>,
    addr: Deno.Addr,
    { granted, fd, shared = false }: SharedSocket = {},
  ) {
    super();
    this.addr = addr;
    this.#loop = new AcceptLoop(source, { address: listenAddressOf(addr), fd, shared });
    // After a stop this closes the listener at once.
    const forget = serverLifecycle.onStopAccepting(
      (last) => closeServed(() => this.close(), { last, fd }),
      granted,
    );
    if (!this.#closed) this.#forget = forget;
  }

  /**
   * Accepts the next connection, without counting it; undefined when closed.
   *
   * @throws {Deno.errors.Busy} When an earlier call still waits.
   */
  async next(): Promise<Deno.Conn | undefined> {
    if (this.#accepting) throw new Deno.errors.Busy("Another accept task is ongoing");
    this.#accepting = true;
    try {
      const conn = await this.#loop.next();
      if (conn !== undefined) serverUsage.accepted();
      return conn;
    } finally {
      this.#accepting = false;
      this.#onAccepted?.();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#awaitAccepted();
    this.#loop.stop();
    this.#forget?.();
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

  ref(): void {
    this.#loop.withSource((source) => source.ref());
  }

  unref(): void {
    this.#loop.withSource((source) => source.unref());
  }
}

/**
 * A listener over an inherited descriptor that no client and no shortage can end.
 *
 * accept(2) passes on errors of a connection that is already gone, and fails while there is no
 * descriptor left; a loop over the runtime's listener would end at the first of these, and the
 * server would be deaf from then on.
 *
 * @module
 */
import { zinfo } from "../log/log.ts";
import { AdoptError, adoptListener } from "../os/adopt.ts";
import { closeFd } from "../os/descriptor.ts";
import { describeListener, type FdType, type ListenAddress } from "../os/socket.ts";
import { serverLifecycle } from "./lifecycle.ts";
import { Shortage } from "./shortage.ts";
import { serverUsage } from "./usage.ts";

/** Errors that concern only the connection that was to be accepted (accept(2)). */
const CONNECTION_ERRORS: ReadonlySet<string> = new Set([
  "ENOTCONN",
  "ECONNABORTED",
  "ECONNRESET",
  "ETIMEDOUT",
  "EINTR",
  "EPERM",
  "EPROTO",
  "ENETDOWN",
  "ENOPROTOOPT",
  "EHOSTDOWN",
  "ENONET",
  "EHOSTUNREACH",
  "EOPNOTSUPP",
  "ENETUNREACH",
]);

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
  const addr = runtimeAddr(describeListener(fd));
  let inner: Deno.Listener | Promise<Deno.Listener>;
  try {
    inner = adopt(fd);
    closeFd(fd);
  } catch (error) {
    if (!(error instanceof AdoptError)) throw error;
    zinfo(`${error.message}; descriptor ${fd} is served through node:net, which is slower`);
    inner = import("./node_listener.ts").then(({ listenNode }) => listenNode(fd, addr));
  }
  return new ServiceListener(inner, addr);
}

function runtimeAddr(address: ListenAddress): Deno.Addr {
  return address.kind === "inet"
    ? { transport: "tcp", hostname: address.hostname, port: address.port }
    : { transport: "unix", path: address.path };
}

/** See {@linkcode openServiceListener}. */
export class ServiceListener implements Deno.Listener {
  readonly #inner: Deno.Listener | Promise<Deno.Listener>;
  /** Set by the constructor, and not needed by a `close` from within it. */
  readonly #forget: () => void = () => {};
  #closed = false;
  #accepting = 0;
  #onAccepted?: () => void;
  readonly #shortage = new Shortage();

  /**
   * @param inner The listener of the runtime, or of node:net.
   * @param addr What it is bound to.
   */
  constructor(inner: Deno.Listener | Promise<Deno.Listener>, readonly addr: Deno.Addr) {
    this.#inner = inner;
    this.#forget = serverLifecycle.onStopAccepting(() => this.close());
  }

  /**
   * Waits for the next connection, which counts as open until its `close` is called.
   *
   * @throws {Deno.errors.BadResource} When the listener is closed.
   * @throws {Deno.errors.Busy} When an earlier call still waits.
   */
  async accept(): Promise<Deno.Conn> {
    return serverLifecycle.connections.add(await this.acceptUncounted());
  }

  /** As {@linkcode accept}, for one who reports its connections in another way. */
  async acceptUncounted(): Promise<Deno.Conn> {
    this.#accepting++;
    try {
      for (;;) {
        try {
          const inner = this.#inner instanceof Promise ? await this.#inner : this.#inner;
          // Asked even when it is closed: it may have accepted one before.
          const conn = await inner.accept();
          serverUsage.accepted();
          return conn;
        } catch (error) {
          if (this.#closed) throw new Deno.errors.BadResource("Listener has been closed");
          if (error instanceof Deno.errors.Busy) throw error;
          await this.#survive(error as Error & { code?: string });
        }
      }
    } finally {
      if (--this.#accepting === 0) this.#onAccepted?.();
    }
  }

  async #survive(error: Error & { code?: string }): Promise<void> {
    if (error.code !== undefined && CONNECTION_ERRORS.has(error.code)) return;
    await this.#shortage.pause(error);
  }

  /** Stops listening. Harmless the second time. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    if (this.#accepting > 0) this.#awaitAccepted();
    this.#withInner((inner) => inner.close());
  }

  /**
   * A connection may have been accepted and be on its way to the caller, to whom it is only there
   * in a moment: until then a server that drains has something under way.
   */
  #awaitAccepted(): void {
    const finished = serverLifecycle.activity.begin();
    this.#onAccepted = () => setTimeout(finished, 0);
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
      for (;;) yield await this.accept();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    } finally {
      this.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

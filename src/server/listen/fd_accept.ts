/**
 * A listener that accepts on an inherited descriptor by accept(2), for runtimes that can't adopt the
 * socket. Its connections are those of node:net.
 *
 * node:net's own server does not fit: it accepts without limit, and stops accepting without an error
 * when no descriptor is free.
 *
 * @module
 */
import { Socket, type SocketConstructorOpts } from "node:net";
import { closeFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN, type Watch } from "../../os/fd/poller.ts";
import { acceptFd } from "../../os/net/socket.ts";
import { nodeConn } from "./node_conn.ts";
import { serverPoller } from "../lifecycle/poller.ts";

/** Accepts one connection per call of `accept`, in the order of the queue. */
export class FdListener implements Deno.Listener {
  readonly #fd: number;
  readonly #watch: Watch;
  /** Set while `accept` waits for a connection. */
  #wake?: () => void;
  #accepting = false;
  #closed = false;

  /** Takes ownership of `fd`, a listening socket that is bound to `addr`. */
  constructor(fd: number, readonly addr: Deno.Addr) {
    setNonblocking(fd);
    this.#fd = fd;
    this.#watch = serverPoller.watch(fd, 0, () => this.#awaken());
  }

  #awaken(): void {
    if (!this.#closed) this.#watch.modify(0);
    this.#wake?.();
    this.#wake = undefined;
  }

  /**
   * Waits for the next connection.
   *
   * @throws {SysError} When accept(2) fails.
   * @throws {Deno.errors.BadResource} When the listener is closed.
   * @throws {Deno.errors.Busy} When an earlier call still waits.
   */
  async accept(): Promise<Deno.Conn> {
    if (this.#accepting) throw new Deno.errors.Busy("Another accept task is ongoing");
    this.#accepting = true;
    try {
      for (;;) {
        if (this.#closed) throw new Deno.errors.BadResource("Listener has been closed");
        const fd = acceptFd(this.#fd);
        if (fd !== undefined) return nodeConn(new Socket(asAccepted(fd)), this.addr);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          this.#watch.modify(EPOLLIN);
        });
      }
    } finally {
      this.#accepting = false;
    }
  }

  /** Stops listening. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.stop();
    closeFd(this.#fd);
    this.#awaken();
  }

  /** See `Deno.Listener`. The watching thread keeps the process running in any case. */
  ref(): void {}

  /** See {@linkcode ref}. */
  unref(): void {}

  /** Accepts until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Deno.Conn> {
    while (!this.#closed) yield await this.accept();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The options with which node:net creates an accepted socket that reads on demand. */
function asAccepted(fd: number): SocketConstructorOpts {
  const options = { fd, allowHalfOpen: true, readable: true, writable: true, pauseOnCreate: true };
  return options;
}

/**
 * A listener over an inherited descriptor that accepts by itself: where the runtime can't be given the
 * socket. Its connections are those of node:net.
 *
 * node:net's own server is no help: it accepts all that come, served or not, and at a lack of
 * descriptors its accepting ends, without a word.
 *
 * @module
 */
import { Socket, type SocketConstructorOpts } from "node:net";
import { closeFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN, type Watch } from "../../os/fd/poller.ts";
import { acceptFd } from "../../os/net/socket.ts";
import { nodeConn } from "./node_conn.ts";
import { serverPoller } from "../lifecycle/poller.ts";

/** Accepts one connection for each call of `accept`, in the order in which they came. */
export class FdListener implements Deno.Listener {
  readonly #fd: number;
  readonly #watch: Watch;
  /** Set while an accept waits for the next connection. */
  #wake?: () => void;
  #accepting = false;
  #closed = false;

  /**
   * @param fd A listening socket, which the listener takes ownership of.
   * @param addr What it is bound to.
   */
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

  /** Stops listening. Harmless the second time. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.stop();
    closeFd(this.#fd);
    this.#awaken();
  }

  /** See `Deno.Listener`. The thread that watches keeps the process running in any case. */
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

/** As node:net's own server makes them, for one that reads when it is asked to. */
function asAccepted(fd: number): SocketConstructorOpts {
  const options = { fd, allowHalfOpen: true, readable: true, writable: true, pauseOnCreate: true };
  return options;
}

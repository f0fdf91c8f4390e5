/**
 * The loop around accept(2) on an inherited descriptor, for connections that are not the runtime's own.
 *
 * A server of node:net does not fit: it accepts without limit, and stops accepting without an error when no
 * descriptor is free.
 *
 * @module
 */
import { closeFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN, type Watch } from "../../os/fd/poller.ts";
import { acceptFd } from "../../os/net/socket.ts";
import { serverPoller } from "../lifecycle/poller.ts";
import type { AcceptSource } from "./backend.ts";
import { Turns } from "./turns.ts";

/** Accepts one connection per call of `accept`, in the order of the queue. */
export class FdAcceptor<T> implements AcceptSource<T> {
  readonly #fd: number;
  readonly #wrap: (fd: number) => T;
  readonly #watch: Watch;
  /** Set while `accept` waits for a connection. */
  #wake?: () => void;
  readonly #turns = new Turns();
  #closed = false;

  /**
   * @param fd A listening socket, owned by this object.
   * @param wrap Makes what `accept` returns of an accepted descriptor, and takes ownership of it unless it throws.
   */
  constructor(fd: number, wrap: (fd: number) => T) {
    setNonblocking(fd);
    this.#fd = fd;
    this.#wrap = wrap;
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
   * @throws {Deno.errors.BadResource} When it is closed.
   */
  async accept(): Promise<T> {
    for (;;) {
      const turn = this.#turns.take();
      if (turn !== undefined) await turn;
      if (this.#closed) throw new Deno.errors.BadResource("Listener has been closed");
      const fd = acceptFd(this.#fd);
      if (fd !== undefined) return this.#wrapped(fd);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#watch.modify(EPOLLIN);
      });
    }
  }

  #wrapped(fd: number): T {
    try {
      return this.#wrap(fd);
    } catch (error) {
      closeFd(fd);
      throw error;
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

  /** Does nothing: the poller keeps the process running in any case. */
  ref(): void {}

  /** See {@linkcode ref}. */
  unref(): void {}
}

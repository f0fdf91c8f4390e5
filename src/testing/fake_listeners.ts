/**
 * Listeners for tests: numbers instead of sockets.
 *
 * @module
 */
import type { Endpoint } from "../config/address.ts";
import type { ListenerPort } from "../master/listeners.ts";
import type { OpenedListener } from "../os/socket.ts";

/** A port that opens nothing and remembers everything. */
export class FakeListeners implements ListenerPort {
  /** The descriptors that are open, each with the key of its address. */
  readonly addresses = new Map<number, string>();
  /** What to refuse: the address's key and the error. */
  readonly refusals = new Map<string, Error>();
  /** The keys of the addresses whose queues were closed. */
  readonly refused = new Set<string>();
  /** The keys of those that were discarded rather than closed, in order. */
  readonly discarded: string[] = [];
  #nextFd = 50;

  /** The keys of the open addresses, sorted. */
  get keys(): string[] {
    return [...this.addresses.values()].sort();
  }

  /**
   * Opens a listener, unless it is to be refused.
   *
   * @param endpoint Its address.
   * @returns A new number.
   */
  open(endpoint: Endpoint): OpenedListener {
    const refusal = this.refusals.get(endpoint.key);
    if (refusal !== undefined) throw refusal;
    const fd = this.#nextFd++;
    this.addresses.set(fd, endpoint.key);
    return { fd };
  }

  /**
   * Takes note.
   *
   * @param listener What `open` returned.
   */
  refuse({ fd }: OpenedListener): boolean {
    this.refused.add(this.addresses.get(fd)!);
    return true;
  }

  /**
   * Closes a listener.
   *
   * @param listener What `open` returned.
   * @throws {Error} When it is not open.
   */
  close({ fd }: OpenedListener): void {
    if (!this.addresses.delete(fd)) throw new Error(`Cannot close ${fd}: it is not open`);
  }

  /**
   * Closes a listener, as `close` does, and takes note.
   *
   * @param listener What `open` returned.
   */
  discard(listener: OpenedListener): void {
    this.discarded.push(this.addresses.get(listener.fd) ?? "not open");
    this.close(listener);
  }

  /**
   * Closes a listener, as `close` does.
   *
   * @param listener What `open` returned.
   */
  leave(listener: OpenedListener): void {
    this.close(listener);
  }
}

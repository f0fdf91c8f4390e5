/**
 * What stands in for the system's log and for a log service: a bound datagram socket.
 *
 * @module
 */
import {
  bindDatagram,
  type BoundDatagram,
  DatagramReceiver,
} from "../../src/os/net/bound_datagram.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { PATIENCE_MS } from "../support/wait.ts";

/** Receives datagrams and keeps them until they are asked for. */
export class LogReceiver implements Disposable {
  readonly #socket: BoundDatagram;
  readonly #receiver: DatagramReceiver;

  /** @param path Where it binds. */
  constructor(path: string) {
    this.#socket = bindDatagram(path);
    this.#receiver = new DatagramReceiver(this.#socket.fd, { count: 16, bytes: 20_000 });
  }

  /** All that waits, as bytes. */
  takeBytes(): Uint8Array[] {
    const taken: Uint8Array[] = [];
    for (let count; (count = this.#receiver.receive()) > 0;) {
      for (let index = 0; index < count; index++) {
        taken.push(this.#receiver.datagram(index).slice());
      }
    }
    return taken;
  }

  /** All that waits, as text. */
  take(): string[] {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    return this.takeBytes().map((bytes) => decoder.decode(bytes));
  }

  /**
   * Collects what comes, giving the senders their turns.
   *
   * @param done Asked with all lines so far.
   * @returns All lines.
   * @throws {Error} When it takes too long.
   */
  async takeUntil(done: (lines: readonly string[]) => boolean): Promise<string[]> {
    const lines: string[] = [];
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      lines.push(...this.take());
      if (done(lines)) return lines;
      if (performance.now() > deadline) {
        throw new Error(`Cannot wait longer for log lines: ${lines.length} have come`);
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** Closes the socket; its path stays, as after a crash. */
  [Symbol.dispose](): void {
    closeFd(this.#socket.fd);
  }
}

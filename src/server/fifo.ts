/**
 * The reading end of an inherited named pipe. There is nothing to accept: the descriptor itself is
 * the stream, shared with the other processes of the service.
 *
 * @module
 */
import { closeFd, setNonblocking } from "../os/descriptor.ts";
import { libc, unwrapOrBlock } from "../os/libc.ts";
import { EPOLLIN } from "../os/poller.ts";
import { readLinkProcSelf } from "../os/proc_self.ts";
import { serverLifecycle } from "./lifecycle.ts";
import { serverPoller } from "./server_poller.ts";
import { serverUsage } from "./usage.ts";

const READ_BYTES = 64 * 1024;

/** A named pipe to read from; it ends only when it is closed, since the pipe is open read-write. */
export class FifoReader {
  /** The path, for messages. */
  readonly path: string;
  /** The path, in the shape of a connection's address. */
  readonly localAddr: Deno.UnixAddr;
  /** The same: nobody knows who writes. */
  readonly remoteAddr: Deno.UnixAddr;
  readonly #room = new Uint8Array(READ_BYTES);
  /** Set by the constructor, and not needed by a `close` from within it. */
  readonly #forget: () => void = () => {};
  #fd: number;
  #stopWaiting?: () => void;
  #used = false;
  #finished?: () => void;

  /**
   * Reads until the server is told to stop.
   *
   * @param fd The descriptor, which the reader takes ownership of.
   * @throws {SysError} When it is not open.
   */
  constructor(fd: number) {
    setNonblocking(fd);
    this.#fd = fd;
    this.path = readLinkProcSelf(`fd/${fd}`);
    this.localAddr = this.remoteAddr = { transport: "unix", path: this.path };
    this.#forget = serverLifecycle.onStopAccepting(() => this.#stop());
  }

  /** Whether it has not been closed. */
  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /**
   * Reads what is there, waiting until something is.
   *
   * @param room Where the bytes go.
   * @returns How many bytes, or null when the reader is closed.
   * @throws {Deno.errors.Busy} When an earlier call still waits.
   */
  async read(room: Uint8Array): Promise<number | null> {
    if (this.#stopWaiting) throw new Deno.errors.Busy("Another read is under way");
    if (room.length === 0) return 0;
    this.#used = true;
    while (this.#fd >= 0) {
      const count = this.#readNow(Math.min(room.length, READ_BYTES));
      if (count === undefined) {
        await this.#readable();
      } else {
        serverUsage.used();
        room.set(this.#room.subarray(0, count));
        return count;
      }
    }
    this.#learnEnd();
    return null;
  }

  #readNow(length: number): number | undefined {
    return unwrapOrBlock(
      { syscall: "read", subject: this.path },
      () => libc().read(this.#fd, this.#room, BigInt(length)),
    );
  }

  /** Waits for data. The watch lives for one wait only, since it is level-triggered. */
  #readable(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watch = serverPoller.watch(this.#fd, EPOLLIN, () => this.#stopWaiting?.());
    this.#stopWaiting = () => {
      this.#stopWaiting = undefined;
      watch.stop();
      resolve();
    };
    return promise;
  }

  /** Refuses: what a server wrote here, it or one of its siblings would read. */
  write(_data: Uint8Array): Promise<number> {
    return Promise.reject(
      new TypeError(`Cannot write to "${this.path}": a service's fifo, expected to be read only`),
    );
  }

  /**
   * The server is told to stop. Whoever reads has something under way until it has learnt of the end:
   * it may be busy with what it has read last.
   */
  #stop(): void {
    const finished = this.#used ? serverLifecycle.activity.begin() : undefined;
    this.close();
    this.#finished = finished;
  }

  #learnEnd(): void {
    if (this.#finished) setTimeout(this.#finished, 0);
    this.#finished = undefined;
  }

  /** Ends reading. Harmless the second time. */
  close(): void {
    this.#learnEnd();
    if (this.#fd < 0) return;
    this.#forget();
    this.#stopWaiting?.();
    closeFd(this.#fd);
    this.#fd = -1;
  }

  /** As {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

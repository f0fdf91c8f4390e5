/**
 * The reader of an inherited named pipe. There is nothing to accept: the descriptor itself is the stream, shared
 * with the other processes of the service.
 *
 * @module
 */
import { systemClock } from "../../os/clock/clock.ts";
import type { PipeInput } from "../backend/backend.ts";
import { backend } from "../backend/chosen.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { serverUsage } from "../lifecycle/usage.ts";

/** How long reads may follow each other before everything else in the process gets its turn. */
const TURN_MS = 10;

/** What a {@linkcode FifoReader} reads for without a promise. */
export interface FifoSink {
  /** Lends the room for one read. One of the other methods follows. */
  lendRoom(): Uint8Array;
  /** Bytes have come into the room; more than 0. */
  received(bytes: number): void;
  /** Another process has read what was there; the read goes on. */
  receivedNothing(): void;
  /** The reader is closed. */
  ended(): void;
  /** The read has failed. */
  readFailed(error: Error): void;
}

/**
 * Reads once, as soon as there is something, and tells the sink of it from the event loop.
 *
 * @throws {Deno.errors.Busy} When an earlier read still waits.
 */
export let readFifoFor: (fifo: FifoReader, sink: FifoSink) => void;

/** A named pipe to read from; it ends only when it is closed, since the pipe is open read-write. */
export class FifoReader {
  /** The path, for messages. */
  readonly path: string;
  /** The path, in the shape of a connection's address. */
  readonly localAddr: Deno.UnixAddr;
  /** The same path: the writer is unknown. */
  readonly remoteAddr: Deno.UnixAddr;
  /** Set by the constructor; a `close` from within it needs none. */
  readonly #forget: () => void = () => {};
  readonly #pipe: PipeInput;
  #open = true;
  #stopWaiting?: () => void;
  /** When it has waited last. */
  #waitedAtMs = -Infinity;
  #used = false;
  #finished?: () => void;

  static {
    readFifoFor = (fifo, sink) => fifo.#readFor(sink);
  }

  /**
   * Reads until the server is told to stop.
   *
   * @param fd The descriptor, owned by the reader.
   * @throws {TypeError} When it is no named pipe.
   */
  constructor(fd: number) {
    const address = backend().addressOf(fd);
    if (address.kind !== "fifo") {
      throw new TypeError(`Cannot read descriptor ${fd}: a socket, expected a named pipe`);
    }
    this.path = address.path;
    this.#pipe = backend().openFifo(fd, this.path);
    this.localAddr = this.remoteAddr = { transport: "unix", path: this.path };
    this.#forget = serverLifecycle.onStopAccepting(() => this.#stop());
  }

  /** Whether it has not been closed. */
  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Reads the available bytes, or waits for some.
   *
   * @param room The buffer.
   * @returns The number of bytes, or null when the reader is closed.
   * @throws {Deno.errors.Busy} When an earlier call still waits.
   */
  async read(room: Uint8Array): Promise<number | null> {
    if (this.#stopWaiting) throw new Deno.errors.Busy("Another read is under way");
    if (room.length === 0) return 0;
    this.#used = true;
    // Writers may be faster than the caller: the pipe is never empty then, and nothing would wait.
    if (systemClock.nowMs() - this.#waitedAtMs >= TURN_MS) await this.#wait(afterTurn);
    for (;;) {
      const count = this.#pipe.readNow(room);
      if (count !== undefined) {
        serverUsage.used();
        return count;
      }
      if (!this.#open) break;
      await this.#wait((callback) => this.#pipe.wait(callback));
    }
    this.#learnEnd();
    return null;
  }

  #readFor(sink: FifoSink): void {
    if (this.#stopWaiting) throw new Deno.errors.Busy("Another read is under way");
    this.#used = true;
    const again = () => {
      const stop = this.#open ? this.#pipe.wait(() => read()) : () => {};
      this.#stopWaiting = () => {
        stop();
        // Not inside of the close.
        queueMicrotask(read);
      };
      if (!this.#open) this.#stopWaiting();
    };
    const read = () => {
      this.#stopWaiting = undefined;
      let count: number | undefined;
      try {
        count = this.#pipe.readNow(sink.lendRoom());
      } catch (error) {
        return sink.readFailed(error as Error);
      }
      if (count !== undefined) {
        serverUsage.used();
        return sink.received(count);
      }
      if (this.#open) {
        sink.receivedNothing();
        return again();
      }
      this.#learnEnd();
      sink.ended();
    };
    again();
  }

  /** Waits for a callback, or for the close. */
  async #wait(start: (callback: () => void) => () => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = start(() => this.#stopWaiting?.());
    this.#stopWaiting = () => {
      this.#stopWaiting = undefined;
      stop();
      resolve();
    };
    await promise;
    this.#waitedAtMs = systemClock.nowMs();
  }

  /** Throws: the server or another process of its service would read the data. */
  write(_data: Uint8Array): Promise<number> {
    return Promise.reject(
      new TypeError(`Cannot write to "${this.path}": a service's fifo, expected to be read only`),
    );
  }

  /** Starts the soft stop. A reader has work under way until it has seen the end, since it may still process data. */
  #stop(): void {
    const finished = this.#used ? serverLifecycle.activity.begin() : undefined;
    this.close();
    this.#finished = finished;
  }

  #learnEnd(): void {
    if (this.#finished) systemClock.setTimer(0, this.#finished);
    this.#finished = undefined;
  }

  /** Ends reading. A second call does nothing. */
  close(): void {
    this.#learnEnd();
    if (!this.#open) return;
    this.#open = false;
    this.#forget();
    this.#stopWaiting?.();
    this.#pipe.close();
  }

  /** As {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Calls back in a later turn of the event loop; returns what prevents that. */
function afterTurn(callback: () => void): () => void {
  const timer = systemClock.setTimer(0, callback);
  return () => timer.cancel();
}

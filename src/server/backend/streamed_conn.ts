/**
 * The part of a `Deno.Conn` that does not depend on what is below it: its streams, and its end.
 *
 * @module
 */
import { interrupted } from "./conn_errors.ts";

/** The size of one read of a stream, as in the runtime. */
const STREAM_BYTES = 64 * 1024;

/** The address of a unix socket's peer, without a path, as the runtime returns it against its type. */
export const UNNAMED_PEER = { transport: "unix", path: null } as unknown as Deno.UnixAddr;

/** A connection with the streams and the closing behaviour of the runtime's. */
export abstract class StreamedConn implements Deno.Conn {
  abstract readonly localAddr: Deno.Addr;
  abstract readonly remoteAddr: Deno.Addr;
  #readable?: ReadableStream<Uint8Array<ArrayBuffer>>;
  #writable?: WritableStream<Uint8Array>;
  #closed = false;

  abstract read(room: Uint8Array): Promise<number | null>;
  abstract write(data: Uint8Array): Promise<number>;
  abstract closeWrite(): Promise<void>;
  abstract ref(): void;
  abstract unref(): void;

  /** Ends the connection at once. */
  protected abstract shut(): void;

  /** Ends the connection when all output is written. */
  protected abstract finish(): void;

  /** Throws if the connection is closed. */
  protected checkOpen(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Bad resource ID");
  }

  /** Throws if the connection was closed during a call. */
  protected checkStillOpen(): void {
    if (this.#closed) throw interrupted();
  }

  close(): void {
    this.checkOpen();
    this.#close();
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  /** Called in place of the public methods, which users of the connection may replace. */
  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.shut();
  }

  /** Closes the connection after a stream has ended, once pending output is sent. */
  #closeByStream(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.finish();
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: STREAM_BYTES,
      pull: async (controller) => {
        const request = controller.byobRequest!;
        const room = request.view as Uint8Array<ArrayBuffer>;
        const count = await this.#orClose(() => this.read(room));
        if (count === null) {
          this.#closeByStream();
          controller.close();
        }
        request.respond(count ?? 0);
      },
      cancel: () => this.#closeByStream(),
    }, { highWaterMark: 0 });
  }

  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= new WritableStream({
      write: async (chunk) => void await this.#orClose(() => this.write(chunk)),
      close: () => this.#closeByStream(),
      abort: () => this.#closeByStream(),
    });
  }

  /** Closes the connection if `act` fails: an error ends a stream and its connection. */
  async #orClose<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      this.#close();
      throw error;
    }
  }
}

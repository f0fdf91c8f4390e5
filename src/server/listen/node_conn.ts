/**
 * A socket of node:net in the shape of the runtime's connections, down to the errors and to what
 * becomes of it when its streams end. docs/design/23_without_ffi.md tells what differs.
 *
 * @module
 */
import type { Socket } from "node:net";
import { brokenPipe, interrupted, runtimeError } from "./node_errors.ts";

/** How much a stream reads at once, as that of the runtime does. */
const STREAM_BYTES = 64 * 1024;

/** What a peer has whose address is not known any more: it had gone before it was asked for. */
const GONE: Deno.NetAddr = { transport: "tcp", hostname: "0.0.0.0", port: 0 };

/** The peers of unix sockets have no path; the runtime says so in this way, whatever its type says. */
const UNNAMED = { transport: "unix", path: null } as unknown as Deno.UnixAddr;

/**
 * Makes a connection of a socket.
 *
 * @param socket The socket, accepted and paused, which the connection then owns.
 * @param listening Where it was accepted.
 */
export function nodeConn(socket: Socket, listening: Deno.Addr): Deno.Conn {
  return listening.transport === "tcp"
    ? new NodeTcpConn(socket, listening)
    : new NodeConn(socket, listening);
}

/** See {@linkcode nodeConn}. */
export class NodeConn implements Deno.Conn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #socket: Socket;
  #readable?: ReadableStream<Uint8Array<ArrayBuffer>>;
  #writable?: WritableStream<Uint8Array>;
  #closed = false;
  /** What has gone wrong: the runtime tells it once. */
  #untold?: Error;

  /**
   * @param socket As for {@linkcode nodeConn}.
   * @param listening As for {@linkcode nodeConn}.
   */
  constructor(socket: Socket, listening: Deno.Addr) {
    this.#socket = socket;
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    const isInet = listening.transport === "tcp";
    this.localAddr = inetAddr(localAddress, localPort) ?? listening;
    this.remoteAddr = inetAddr(remoteAddress, remotePort) ?? (isInet ? GONE : UNNAMED);
    // Without a listener it would end the process.
    socket.on("error", (error: Error & { readonly syscall?: string }) => {
      // The one who has written is told by then.
      if (error.syscall !== "write") this.#untold = runtimeError(error);
    });
  }

  async read(room: Uint8Array): Promise<number | null> {
    if (room.length === 0) return 0;
    this.checkOpen();
    for (;;) {
      const length = Math.min(room.length, this.#socket.readableLength);
      const chunk: Uint8Array | null = length > 0 ? this.#socket.read(length) : null;
      if (chunk !== null) {
        room.set(chunk);
        return chunk.length;
      }
      this.#tell();
      if (this.#socket.readableEnded || this.#socket.destroyed) return null;
      await this.#change();
      this.checkStillOpen();
    }
  }

  /** Waits until there is something to read, or never again will be. */
  #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const events = ["readable", "end", "close", "error"];
    const done = () => {
      for (const event of events) this.#socket.off(event, done);
      resolve();
    };
    for (const event of events) this.#socket.on(event, done);
    // Starts reading, which a paused socket does not do by itself.
    this.#socket.read(0);
    return promise;
  }

  #tell(): void {
    const error = this.#untold;
    this.#untold = undefined;
    if (error !== undefined) throw error;
  }

  /** Throws for a call on a connection that is closed. */
  protected checkOpen(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Bad resource ID");
  }

  /** Throws for a call that was under way when the connection was closed. */
  protected checkStillOpen(): void {
    if (this.#closed) throw interrupted();
  }

  async write(data: Uint8Array): Promise<number> {
    this.checkOpen();
    this.#tell();
    // node:net would end the connection for it.
    if (this.#socket.writableEnded || this.#socket.destroyed) throw brokenPipe();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    // The caller may use its buffer again as soon as the promise is fulfilled, and that is when
    // the data is with the kernel.
    this.#socket.write(
      data,
      (error) => error ? reject(runtimeError(error)) : resolve(data.length),
    );
    return await promise;
  }

  async closeWrite(): Promise<void> {
    this.checkOpen();
    if (this.#socket.writableEnded || this.#socket.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    // It may not come to its end.
    this.#socket.once("close", () => resolve());
    this.#socket.end(() => resolve());
    await promise;
  }

  close(): void {
    this.checkOpen();
    this.#close();
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  /** Not the methods of that name, which the connection's users may replace. */
  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.shut();
  }

  /** Ends the socket: at once where something was not written yet, as the runtime does. */
  protected shut(): void {
    if (this.#socket.writableLength > 0) return void this.#socket.destroy();
    // Ends the output first (shutdown(2)): with something unread the close is a reset, which may take
    // away from the peer what it has not read yet.
    this.#socket.destroySoon();
  }

  /** A stream has ended, and with it the connection, as soon as what was written is on its way. */
  #closeByStream(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.finish();
  }

  /** Ends the socket when all is written. */
  protected finish(): void {
    this.#socket.destroySoon();
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

  /** An error ends a stream, and with it the connection. */
  async #orClose<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }
}

/** A connection of TCP. */
class NodeTcpConn extends NodeConn implements Deno.TcpConn {
  declare readonly localAddr: Deno.NetAddr;
  declare readonly remoteAddr: Deno.NetAddr;
  readonly #socket: Socket;

  constructor(socket: Socket, listening: Deno.NetAddr) {
    super(socket, listening);
    this.#socket = socket;
  }

  setNoDelay(noDelay = true): void {
    this.checkOpen();
    this.#socket.setNoDelay(noDelay);
  }

  setKeepAlive(keepAlive = true): void {
    this.checkOpen();
    this.#socket.setKeepAlive(keepAlive);
  }
}

function inetAddr(hostname?: string, port?: number): Deno.NetAddr | undefined {
  return hostname === undefined || port === undefined
    ? undefined
    : { transport: "tcp", hostname, port };
}

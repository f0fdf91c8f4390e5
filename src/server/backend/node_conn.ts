/**
 * A `Deno.Conn` over a node:net socket, with the runtime's errors and closing behaviour. The differences
 * are in docs/design/23_without_ffi.md.
 *
 * @module
 */
import { Socket, type SocketConstructorOpts } from "node:net";
import { brokenPipe, runtimeError } from "./conn_errors.ts";
import { StreamedConn, UNNAMED_PEER } from "./streamed_conn.ts";

/** The peer address of a connection that was closed before the address was read. */
const GONE: Deno.NetAddr = { transport: "tcp", hostname: "0.0.0.0", port: 0 };

/** Makes a connection of an accepted and paused socket, and takes ownership of the socket. */
export function nodeConn(socket: Socket, listening: Deno.Addr): Deno.Conn {
  return listening.transport === "tcp"
    ? new NodeTcpConn(socket, listening)
    : new NodeConn(socket, listening);
}

/** Makes a connection of an accepted descriptor, and takes ownership of it. */
export function acceptedConn(fd: number, listening: Deno.Addr): Deno.Conn {
  // It reads on demand.
  const options = { fd, allowHalfOpen: true, readable: true, writable: true, pauseOnCreate: true };
  return nodeConn(new Socket(options as SocketConstructorOpts), listening);
}

/** See {@linkcode nodeConn}. */
export class NodeConn extends StreamedConn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #socket: Socket;
  /** An error that has not been reported yet; the runtime reports it once. */
  #untold?: Error;

  constructor(socket: Socket, listening: Deno.Addr) {
    super();
    this.#socket = socket;
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    const isInet = listening.transport === "tcp";
    this.localAddr = inetAddr(localAddress, localPort) ?? listening;
    this.remoteAddr = inetAddr(remoteAddress, remotePort) ?? (isInet ? GONE : UNNAMED_PEER);
    // An error without a listener would end the process.
    socket.on("error", (error: Error & { readonly syscall?: string }) => {
      // A failed write has reported the error to its caller.
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

  /** Waits until data or the end of the input has arrived. */
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

  async write(data: Uint8Array): Promise<number> {
    this.checkOpen();
    this.#tell();
    // node:net would end the connection on such a write.
    if (this.#socket.writableEnded || this.#socket.destroyed) throw brokenPipe();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    // The caller may reuse its buffer once the promise is fulfilled, which is when the kernel has the data.
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
    // A close may come before the end.
    this.#socket.once("close", () => resolve());
    this.#socket.end(() => resolve());
    await promise;
  }

  /** Ends the socket: at once if unwritten data remains, as the runtime does. */
  protected shut(): void {
    if (this.#socket.writableLength > 0) return void this.#socket.destroy();
    // Shuts the output down first (shutdown(2)): closing a socket with unread data sends a reset, which
    // may discard data that the peer has not read yet.
    this.#socket.destroySoon();
  }

  /** Ends the socket when all output is written. */
  protected finish(): void {
    this.#socket.destroySoon();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }
}

/** A TCP connection. */
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

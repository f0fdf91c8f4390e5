/**
 * A listener over an inherited descriptor by way of node:net alone: slower to load and to run than a
 * native one, and of use where no system call can be made. Its server can't be held back: it accepts
 * all that come, served or not; and after a lack of descriptors it must be helped on. {@link file://./fd_listener.ts} is better wherever it works.
 *
 * @module
 */
import { createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { keepAccepting } from "./node_accepting.ts";

/**
 * Listens on an inherited descriptor.
 *
 * @param fd A listening socket, which the listener takes ownership of.
 * @param addr What it is bound to: node:net does not know the path of one that it did not bind.
 * @returns The listener, once it listens.
 */
export function listenNode(fd: number, addr: Deno.Addr): Promise<Deno.Listener> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const { promise, resolve, reject } = Promise.withResolvers<Deno.Listener>();
  server.once("error", reject);
  server.listen({ fd }, () => {
    server.off("error", reject);
    resolve(new NodeListener(server, addr));
  });
  return promise;
}

class NodeListener implements Deno.Listener {
  readonly #server: Server;
  readonly #accepted: Deno.Conn[] = [];
  /** One is enough to know that there is a shortage. */
  #failed?: Error;
  #waiting?: PromiseWithResolvers<Deno.Conn>;
  #closed = false;
  readonly #letGo: () => void;

  constructor(server: Server, readonly addr: Deno.Addr) {
    this.#server = server;
    const onError = (error: Error) => {
      this.#failed = error;
      this.#deliver();
    };
    this.#letGo = keepAccepting(server, onError);
    server.on("connection", (socket) => {
      this.#accepted.push(new NodeConn(socket, this.addr));
      this.#deliver();
    });
    server.on("error", onError);
  }

  async accept(): Promise<Deno.Conn> {
    if (this.#waiting) throw new Deno.errors.Busy("Another accept task is ongoing");
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#deliver();
    return await promise;
  }

  /** Also when it is closed: node:net accepts on its own, and these wait to be served. */
  #deliver(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const conn = this.#accepted.shift();
    if (conn !== undefined) {
      waiting.resolve(conn);
    } else if (this.#closed) {
      waiting.reject(new Deno.errors.BadResource("Listener has been closed"));
    } else if (this.#failed !== undefined) {
      waiting.reject(this.#failed);
      this.#failed = undefined;
    } else return;
    this.#waiting = undefined;
  }

  close(): void {
    this.#closed = true;
    this.#letGo();
    this.#server.close();
    this.#deliver();
  }

  ref(): void {
    this.#server.ref();
  }

  unref(): void {
    this.#server.unref();
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Deno.Conn> {
    while (!this.#closed) yield await this.accept();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A node:net socket in the shape of the runtime's connections. */
export class NodeConn implements Deno.Conn {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
  readonly #socket: Socket;
  #streams?: { readable: ReadableStream; writable: WritableStream };
  #closed = false;

  /**
   * @param socket The socket, paused, which the connection then owns.
   * @param listening Where it was accepted, for a unix socket.
   */
  constructor(socket: Socket, listening: Deno.Addr) {
    this.#socket = socket;
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    this.localAddr = inetAddr(localAddress, localPort) ?? listening;
    this.remoteAddr = inetAddr(remoteAddress, remotePort) ?? { transport: "unix", path: "" };
    // An error shows at the next read or write; without a listener it would end the process.
    socket.on("error", () => {});
  }

  async read(room: Uint8Array): Promise<number | null> {
    if (room.length === 0) return 0;
    for (;;) {
      this.#check();
      const length = Math.min(room.length, this.#socket.readableLength);
      const chunk: Uint8Array | null = length > 0 ? this.#socket.read(length) : null;
      if (chunk !== null) {
        room.set(chunk);
        return chunk.length;
      }
      if (this.#socket.readableEnded || this.#socket.destroyed) return null;
      await this.#change();
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

  #check(): void {
    this.#checkOpen();
    if (this.#socket.errored) throw this.#socket.errored;
  }

  #checkOpen(): void {
    const closedByStreams = this.#streams !== undefined && this.#socket.destroyed;
    if (this.#closed || closedByStreams) throw new Deno.errors.BadResource("Bad resource ID");
  }

  async write(data: Uint8Array): Promise<number> {
    this.#check();
    // node:net would end the connection for it.
    if (this.#socket.writableEnded) throw new Deno.errors.BrokenPipe("Output has been closed");
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    // The caller may use its buffer again as soon as the promise is fulfilled, and that is when
    // the data is with the kernel.
    this.#socket.write(data, (error) => error ? reject(error) : resolve(data.length));
    return await promise;
  }

  async closeWrite(): Promise<void> {
    this.#check();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.end(() => resolve());
    await promise;
  }

  close(): void {
    this.#checkOpen();
    this.#closed = true;
    this.shut();
  }

  /** Ends the socket. */
  protected shut(): void {
    this.#socket.destroy();
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#web().readable;
  }

  get writable(): WritableStream<Uint8Array> {
    return this.#web().writable;
  }

  #web(): { readable: ReadableStream; writable: WritableStream } {
    return this.#streams ??= Duplex.toWeb(this.#socket) as unknown as {
      readable: ReadableStream;
      writable: WritableStream;
    };
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.shut();
  }
}

function inetAddr(hostname?: string, port?: number): Deno.Addr | undefined {
  return hostname === undefined || port === undefined
    ? undefined
    : { transport: "tcp", hostname, port };
}

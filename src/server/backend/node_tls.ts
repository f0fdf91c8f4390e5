/**
 * Server-side TLS by node:tls: slower than the runtime's own, for connections that can't be adopted, such
 * as those of a unix socket.
 *
 * @module
 */
import { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { Certificate } from "../../os/adopt/tls.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { NodeConn } from "./node_conn.ts";
import { brokenPipe } from "./conn_errors.ts";

const READ_BYTES = 64 * 1024;
/** The time limit for pending output when a connection is closed. */
const SHUT_MS = 1_000;

/**
 * Starts TLS on a connection.
 *
 * @param conn The connection, with no read or write under way.
 * @param certificate Certificate and key.
 * @returns The same connection over TLS. Closing it closes `conn`.
 */
export function nodeServerTls(conn: Deno.Conn, certificate: Certificate): Deno.TlsConn {
  return new NodeTlsConn(conn, certificate);
}

class NodeTlsConn extends NodeConn implements Deno.TlsConn {
  override readonly localAddr: Deno.NetAddr;
  override readonly remoteAddr: Deno.NetAddr;
  readonly #shaken: Promise<Deno.TlsHandshakeInfo>;
  readonly #socket: TLSSocket;
  /** The stream below TLS. */
  readonly #stream: Duplex;
  /** Whether close_notify has arrived: without it the end may be the work of an attacker. */
  #isEndProven = false;

  constructor(conn: Deno.Conn, { cert, key, alpnProtocols }: Certificate) {
    const shaken = Promise.withResolvers<Deno.TlsHandshakeInfo>();
    const fail = () => shaken.reject(unexpectedEof("in its TLS handshake"));
    const stream = streamOf(conn, fail);
    // The type asks for a socket of node; any stream works.
    const socket = new TLSSocket(stream as never, {
      isServer: true,
      cert,
      key,
      ALPNProtocols: alpnProtocols && [...alpnProtocols],
    });
    super(socket, conn.localAddr);
    this.#shaken = shaken.promise;
    this.#socket = socket;
    this.#stream = stream;
    this.localAddr = conn.localAddr as Deno.NetAddr;
    this.remoteAddr = conn.remoteAddr as Deno.NetAddr;
    this.#watchEnd();
    socket.once("secure", () => shaken.resolve({ alpnProtocol: socket.alpnProtocol || null }));
    socket.once("error", shaken.reject);
    socket.once("close", fail);
    // Without a caller of `handshake`, the next read or write reports the error.
    this.#shaken.catch(() => {});
  }

  /** node:tls reports any end in the same way: a proven one comes before that of the stream below. */
  #watchEnd(): void {
    const socket = this.#socket;
    let endedBelow = false;
    this.#stream.prependOnceListener("end", () => endedBelow = true);
    socket.push = (chunk, encoding) => {
      if (chunk === null && !endedBelow) this.#isEndProven = true;
      return TLSSocket.prototype.push.call(socket, chunk, encoding);
    };
  }

  async handshake(): Promise<Deno.TlsHandshakeInfo> {
    this.checkOpen();
    return await this.#shaken;
  }

  override async read(room: Uint8Array): Promise<number | null> {
    const count = await super.read(room);
    if (count === null && !this.#isEndProven) throw unexpectedEof("without TLS close_notify");
    return count;
  }

  /** Waits for the stream below as well: node:tls would buffer any amount for a client that reads nothing. */
  override async write(data: Uint8Array): Promise<number> {
    const count = await super.write(data);
    const stream = this.#stream;
    if (stream.writableNeedDrain) {
      await new Promise<void>((resolve) => {
        stream.once("drain", resolve);
        stream.once("close", resolve);
      });
      this.checkStillOpen();
    }
    if (stream.destroyed) throw stream.errored ?? brokenPipe();
    return count;
  }

  /** Sends pending output and close_notify, if the client takes them. */
  protected override finish(): void {
    const socket = this.#socket, stream = this.#stream;
    const timer = systemClock.setTimer(SHUT_MS, () => socket.destroy());
    socket.once("close", () => timer.cancel());
    // node:tls reports its end before it has written close_notify.
    const destroyWhenWritten = () => {
      systemClock.setTimer(0, () => {
        if (stream.writableLength === 0) socket.destroy();
        else stream.once("drain", destroyWhenWritten);
      });
    };
    socket.end(destroyWhenWritten);
  }

  protected override shut(): void {
    this.finish();
  }
}

function unexpectedEof(how: string): Error {
  return new Deno.errors.UnexpectedEof(`the connection has ended ${how}`);
}

/** Wraps a connection as a node stream; `onEnd` is called at the end of the input. */
function streamOf(conn: Deno.Conn, onEnd: () => void): Duplex {
  // Later, its `close` may lead to that of the stream.
  const close = conn.close.bind(conn);
  return new Duplex({
    allowHalfOpen: true,
    read() {
      const room = new Uint8Array(READ_BYTES);
      conn.read(room).then(
        (count) => {
          this.push(count === null ? null : room.subarray(0, count));
          if (count === null) onEnd();
        },
        (error) => this.destroy(error),
      );
    },
    write(data: Uint8Array, _encoding, callback) {
      writeAll(conn, data).then(() => callback(), callback);
    },
    final(callback) {
      conn.closeWrite().then(() => callback(), callback);
    },
    destroy(error, callback) {
      try {
        close();
      } catch {
        // The connection was closed already.
      }
      callback(error);
    },
  });
}

async function writeAll(conn: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) sent += await conn.write(data.subarray(sent));
}

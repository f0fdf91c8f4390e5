/**
 * TLS from the server's side by way of node:tls: slower than the runtime's own, and right wherever
 * a connection can't be adopted, such as one of a unix socket.
 *
 * @module
 */
import { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { TlsIdentity } from "../../os/adopt/tls.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { NodeConn } from "../listen/node_conn.ts";
import { brokenPipe } from "../listen/node_errors.ts";

const READ_BYTES = 64 * 1024;
/** How long a client that is left may take for what was still to be written. */
const SHUT_MS = 1_000;

/**
 * Puts TLS on a connection.
 *
 * @param conn The connection, with no read or write under way.
 * @param identity What to identify with.
 * @returns The same connection over TLS. Closing it closes `conn`.
 */
export function nodeServerTls(conn: Deno.Conn, identity: TlsIdentity): Deno.TlsConn {
  return new NodeTlsConn(conn, identity);
}

class NodeTlsConn extends NodeConn implements Deno.TlsConn {
  override readonly localAddr: Deno.NetAddr;
  override readonly remoteAddr: Deno.NetAddr;
  readonly #shaken: Promise<Deno.TlsHandshakeInfo>;
  readonly #socket: TLSSocket;
  /** What is under TLS. */
  readonly #stream: Duplex;
  /** Whether the last message of TLS has come: without it the end may be the work of an attacker. */
  #isEndProven = false;

  constructor(conn: Deno.Conn, { cert, key, alpnProtocols }: TlsIdentity) {
    const shaken = Promise.withResolvers<Deno.TlsHandshakeInfo>();
    const fail = () => shaken.reject(unexpectedEof("in its TLS handshake"));
    const stream = streamOf(conn, fail);
    // Its type asks for a socket of node; it takes any stream.
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
    // Who does not ask finds out at the next read or write.
    this.#shaken.catch(() => {});
  }

  /** node:tls tells of an end in one way, whichever it was: a proven one comes before that below. */
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

  /** Waits for what is below as well: node:tls would take any amount for a client that reads nothing. */
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

  /** Sends what is still to be written and the last message of TLS, if the client takes them. */
  protected override finish(): void {
    const socket = this.#socket, stream = this.#stream;
    const timer = systemClock.setTimer(SHUT_MS, () => socket.destroy());
    socket.once("close", () => timer.cancel());
    // node:tls says that it has ended before it has written its last message.
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

/** A connection as a stream of node, which tells `onEnd` of the end of what comes. */
function streamOf(conn: Deno.Conn, onEnd: () => void): Duplex {
  // Later on its `close` may lead to that of the stream.
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
        // Somebody else closed it before.
      }
      callback(error);
    },
  });
}

async function writeAll(conn: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) sent += await conn.write(data.subarray(sent));
}

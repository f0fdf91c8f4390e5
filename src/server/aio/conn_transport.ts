/**
 * The transport over a connection with promises: one of the runtime, or of the user.
 *
 * @module
 */
import type { AioConn } from "./conn.ts";
import { type AioReader, type AioTransport, type AioWriter, PENDING } from "./transport.ts";

/** See {@linkcode AioTransport}. */
export class ConnTransport implements AioTransport {
  readonly conn: AioConn;
  protected reader!: AioReader;
  #writer!: AioWriter;

  /** @param conn The connection, owned by the transport. */
  constructor(conn: AioConn) {
    this.conn = conn;
  }

  get localAddr(): Deno.Addr {
    return this.conn.localAddr;
  }

  get remoteAddr(): Deno.Addr {
    return this.conn.remoteAddr;
  }

  bind(reader: AioReader, writer: AioWriter): void {
    this.reader = reader;
    this.#writer = writer;
  }

  read(): void {
    this.conn.read(this.reader.lendRoom()).then(this.#onRead, this.#onReadError);
  }

  readonly #onRead = (bytes: number | null): void => {
    if (bytes === null) this.reader.ended();
    else this.reader.received(bytes);
  };

  readonly #onReadError = (error: unknown): void => this.reader.readFailed(asError(error));

  write(): number {
    this.conn.write(this.#writer.lendPiece()).then(this.#onWritten, this.#onWriteError);
    return PENDING;
  }

  readonly #onWritten = (bytes: number): void => this.#writer.written(bytes);

  readonly #onWriteError = (error: unknown): void => this.#writer.writeFailed(asError(error));

  close(): void {
    try {
      this.conn.close();
    } catch {
      // The connection was closed already.
    }
  }

  release(): AioConn {
    return this.conn;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error), { cause: error });
}

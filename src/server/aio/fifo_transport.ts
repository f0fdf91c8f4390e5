/**
 * The transport over a named pipe, which can be read only.
 *
 * @module
 */
import { type FifoReader, readFifoFor } from "../fifo/fifo.ts";
import type { AioConn } from "./conn.ts";
import { type AioReader, type AioTransport, type AioWriter, PENDING } from "./transport.ts";

/** See {@linkcode AioTransport}. */
export class FifoTransport implements AioTransport {
  readonly conn: FifoReader;
  #reader!: AioReader;
  #writer!: AioWriter;

  /** @param fifo The pipe, owned by the transport. */
  constructor(fifo: FifoReader) {
    this.conn = fifo;
  }

  get localAddr(): Deno.Addr {
    return this.conn.localAddr;
  }

  get remoteAddr(): Deno.Addr {
    return this.conn.remoteAddr;
  }

  bind(reader: AioReader, writer: AioWriter): void {
    this.#reader = reader;
    this.#writer = writer;
  }

  read(): void {
    readFifoFor(this.conn, this.#reader);
  }

  write(): number {
    this.conn.write(this.#writer.lendPiece()).catch((error) => this.#writer.writeFailed(error));
    return PENDING;
  }

  close(): void {
    this.conn.close();
  }

  release(): AioConn {
    return this.conn;
  }
}

/**
 * The transport over a named pipe, whose reads need no promise. It can be read only.
 *
 * @module
 */
import { type FifoReader, readFifoFor } from "../fifo/fifo.ts";
import { ConnTransport } from "./conn_transport.ts";

/** See `AioTransport`. */
export class FifoTransport extends ConnTransport {
  declare readonly conn: FifoReader;

  /** @param fifo The pipe, owned by the transport. */
  constructor(fifo: FifoReader) {
    super(fifo);
  }

  override read(): void {
    readFifoFor(this.conn, this.reader);
  }
}

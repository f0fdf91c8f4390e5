/**
 * What an `Aio` reads from and writes to: a connection of the runtime, or a descriptor. There is no promise in
 * between.
 *
 * @module
 */
import type { AioConn } from "./conn.ts";

/** The result of {@linkcode AioTransport.write} when it has to wait. */
export const PENDING = -1;

/** The reading side. */
export interface AioReader {
  /** Lends the room for one read. One of the other methods follows. */
  lendRoom(): Uint8Array<ArrayBuffer>;
  /** Bytes have come into the room; more than 0. */
  received(bytes: number): void;
  /** Nothing has come; the read goes on, with other room. */
  receivedNothing(): void;
  /** The stream has ended. */
  ended(): void;
  /** The read has failed. */
  readFailed(error: Error): void;
}

/** The writing side. */
export interface AioWriter {
  /** Lends the bytes for one write. */
  lendPiece(): Uint8Array;
  /** The kernel has accepted the first bytes of the piece. */
  written(bytes: number): void;
  /** The write has failed. */
  writeFailed(error: Error): void;
}

/** The connection under an `Aio`. It calls reader and writer from the event loop only. */
export interface AioTransport {
  /** This end. */
  readonly localAddr: Deno.Addr;
  /** The peer's end. */
  readonly remoteAddr: Deno.Addr;
  /** The connection of the runtime, if it is one. */
  readonly conn: AioConn | undefined;
  /** Sets both sides. Called before all else. */
  bind(reader: AioReader, writer: AioWriter): void;
  /** Reads once for the reader. Not to be called again meanwhile. */
  read(): void;
  /**
   * Writes a piece of the writer. Not to be called again while it is pending.
   *
   * @returns How many bytes the kernel has accepted, which may be 0; or {@linkcode PENDING}: the writer will be told.
   * @throws {Error} When it fails at once.
   */
  write(): number;
  /** Closes the connection. */
  close(): void;
  /** Gives the connection up; with no read and no write under way. */
  release(): AioConn;
}

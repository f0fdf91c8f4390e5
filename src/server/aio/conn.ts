/**
 * What is under an `Aio`: the least that a connection must be able to do.
 *
 * @module
 */

/** The connection under an `Aio`: any `Deno.Conn` is one. */
export interface AioConn {
  /**
   * Reads what is there, or waits for something.
   *
   * @param p Where the bytes go.
   * @returns How many bytes came, or `null` at the end of the stream.
   */
  read(p: Uint8Array): Promise<number | null>;
  /**
   * Writes what the kernel takes, or waits until it takes something.
   *
   * @param p The bytes.
   * @returns How many of them were taken.
   */
  write(p: Uint8Array): Promise<number>;
  /** Closes the connection; a read or write under way is rejected. */
  close(): void;
  /** This end. */
  readonly localAddr: Deno.Addr;
  /** The peer's end. */
  readonly remoteAddr: Deno.Addr;
}

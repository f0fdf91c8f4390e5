/**
 * The connection interface that an `Aio` needs.
 *
 * @module
 */

/** The connection under an `Aio`: any `Deno.Conn` is one. */
export interface AioConn {
  /**
   * Reads the available bytes, or waits for some.
   *
   * @param p The buffer.
   * @returns The number of bytes, or `null` at the end of the stream.
   */
  read(p: Uint8Array): Promise<number | null>;
  /**
   * Writes as many bytes as the kernel accepts, or waits until it accepts some.
   *
   * @param p The bytes.
   * @returns The number of accepted bytes.
   */
  write(p: Uint8Array): Promise<number>;
  /** Closes the connection; a read or write under way is rejected. */
  close(): void;
  /** This end. */
  readonly localAddr: Deno.Addr;
  /** The peer's end. */
  readonly remoteAddr: Deno.Addr;
}

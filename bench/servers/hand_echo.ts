/**
 * The echo loop as one writes it by hand, for one connection.
 *
 * @module
 */

/**
 * Sends back what comes, until the end.
 *
 * @param conn The connection; closing it is left to the caller.
 */
export async function echo(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(16_384);
  for (let count; (count = await conn.read(buffer)) !== null;) {
    for (let at = 0; at < count;) at += await conn.write(buffer.subarray(at, count));
  }
}

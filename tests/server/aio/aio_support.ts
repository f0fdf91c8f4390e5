/**
 * What the tests of the aio mode share: an `Aio` with a client at the other end of a real socket,
 * and callbacks turned into promises.
 *
 * @module
 */
import { type Aio, type AioCallback, aioCreate } from "../../../src/server/aio/aio.ts";
import { AioBase, type AioBaseOptions } from "../../../src/server/aio/base.ts";
import { TempDir } from "../../support/temp.ts";
import { within } from "../../support/wait.ts";

/** A connection of which one end is an `Aio`. */
export interface Pair extends Disposable {
  readonly base: AioBase;
  readonly aio: Aio;
  /** The raw connection under the `Aio`. */
  readonly conn: Deno.Conn;
  readonly client: Deno.TcpConn | Deno.UnixConn;
  /** What callbacks threw. */
  readonly errors: unknown[];
}

/**
 * Connects a client to an `Aio` over loopback.
 *
 * @param options Of the base.
 * @returns Both ends, closed together.
 */
export async function tcpPair(options?: AioBaseOptions): Promise<Pair> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  return pair(await listener.accept(), await client, options);
}

/**
 * Connects a client to an `Aio` over a unix socket.
 *
 * @param options Of the base.
 * @returns Both ends, closed together.
 */
export async function unixPair(options?: AioBaseOptions): Promise<Pair> {
  using dir = new TempDir();
  const path = dir.file("aio");
  using listener = Deno.listen({ transport: "unix", path });
  const client = Deno.connect({ transport: "unix", path });
  return pair(await listener.accept(), await client, options);
}

function pair(
  conn: Deno.Conn,
  client: Deno.TcpConn | Deno.UnixConn,
  options?: AioBaseOptions,
): Pair {
  const errors: unknown[] = [];
  const base = new AioBase({ onError: (error) => errors.push(error), ...options });
  return {
    base,
    aio: aioCreate(conn, base),
    conn,
    client,
    errors,
    [Symbol.dispose]() {
      base.closeAll();
      try {
        client.close();
      } catch {
        // The test closed it.
      }
    },
  };
}

/**
 * Starts an operation and waits for its callback.
 *
 * @param start Starts it with the callback that it is given.
 * @param what Names it, for the error when it does not end.
 * @returns Its result.
 */
export function outcome(
  start: (callback: AioCallback) => void,
  what = "a callback",
): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  start((aio) => resolve(aio.getResult()));
  return within(promise, { what });
}

/** Sends everything. */
export async function send(conn: Deno.Conn, data: string | Uint8Array): Promise<void> {
  let left = typeof data === "string" ? new TextEncoder().encode(data) : data;
  while (left.length > 0) left = left.subarray(await conn.write(left));
}

/**
 * Receives an exact number of bytes, or all until the end of the stream.
 *
 * @param conn Where from.
 * @param length How many; by default all.
 * @returns The bytes; fewer than `length` when the stream ended.
 */
export async function receive(conn: Deno.Conn, length = Infinity): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < length) {
    const chunk = new Uint8Array(Math.min(65536, length - size));
    const count = await within(conn.read(chunk), { what: `${length} bytes, ${size} came` });
    if (count === null) break;
    chunks.push(chunk.subarray(0, count));
    size += count;
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Like {@linkcode receive}, as text. */
export async function receiveText(conn: Deno.Conn, length?: number): Promise<string> {
  return new TextDecoder().decode(await receive(conn, length));
}

/** A number of bytes that differ from their neighbours, from a seed. */
export function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

/**
 * What the tests of the aio mode share: an `Aio` with a client at the other end of a real socket,
 * and callbacks turned into promises.
 *
 * @module
 */
import { type Aio, type AioCallback, aioCreate, aioOver } from "../../../src/server/aio/aio.ts";
import { AioBase, type AioBaseOptions } from "../../../src/server/aio/base.ts";
import { DirectTransport } from "../../../src/server/aio/direct_transport.ts";
import { adoptListener } from "../../../src/os/adopt/listener.ts";
import { acceptFd } from "../../../src/os/net/socket.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import {
  connectTo,
  endsOf,
  inetSocket,
  type ServiceSocket,
  unixSocket,
} from "../service_sockets.ts";
import { TempDir } from "../../support/temp.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { within } from "../../support/wait.ts";

/** A connection of which one end is an `Aio`. */
export interface Pair extends Disposable {
  readonly base: AioBase;
  readonly aio: Aio;
  /** The connection of the runtime under the `Aio`, if there is one. */
  readonly conn: Deno.Conn | undefined;
  readonly client: Deno.TcpConn | Deno.UnixConn;
  /** What callbacks threw. */
  readonly errors: unknown[];
}

/** What is under an `Aio`: a connection of the runtime, or a descriptor. */
const KINDS = ["runtime", "direct"] as const;

/** The kind of the pairs of the test that runs. */
let current: typeof KINDS[number] = "runtime";

/**
 * Registers a test for each kind of pair.
 *
 * @param name Its name.
 * @param body The test, which makes its pairs with {@linkcode tcpPair} and {@linkcode unixPair}.
 */
export function pairTest(name: string, body: () => void | Promise<void>): void {
  for (const kind of KINDS) {
    Deno.test({
      name: `${name} (${kind})`,
      // The functions of libc stay open.
      sanitizeResources: false,
      async fn() {
        current = kind;
        try {
          await body();
        } finally {
          current = "runtime";
        }
      },
    });
  }
}

/** Registers a test as {@linkcode pairTest} does, which leaves no descriptor open. */
export function aioTest(name: string, body: () => void | Promise<void>): void {
  pairTest(name, () => leavesNothingOpen(body));
}

/** Connects a client to an `Aio` over loopback; both ends are closed together. */
export async function tcpPair(options?: AioBaseOptions): Promise<Pair> {
  const socket = inetSocket();
  return current === "direct"
    ? await directPair(socket, options)
    : await runtimePair(socket, options);
}

/** The same over a unix socket. */
export async function unixPair(options?: AioBaseOptions): Promise<Pair> {
  using dir = new TempDir();
  const socket = unixSocket(dir.file("aio"));
  return current === "direct"
    ? await directPair(socket, options)
    : await runtimePair(socket, options);
}

async function directPair({ fd, addr }: ServiceSocket, options?: AioBaseOptions): Promise<Pair> {
  const client = await connectTo({ addr });
  const accepted = acceptFd(fd)!;
  closeFd(fd);
  const transport = new DirectTransport(accepted, endsOf(accepted, addr));
  return pair(client, { open: (base) => aioOver(transport, base), options });
}

async function runtimePair({ fd, addr }: ServiceSocket, options?: AioBaseOptions): Promise<Pair> {
  using listener = adoptListener(fd);
  closeFd(fd);
  const client = await connectTo({ addr });
  const conn = await listener.accept();
  return pair(client, { open: (base) => aioCreate(conn, base), conn, options });
}

function pair(
  client: Deno.Conn,
  { open, conn, options }: {
    readonly open: (base: AioBase) => Aio;
    readonly conn?: Deno.Conn;
    readonly options?: AioBaseOptions;
  },
): Pair {
  const errors: unknown[] = [];
  const base = new AioBase({ onError: (error) => errors.push(error), ...options });
  return {
    base,
    aio: open(base),
    conn,
    client: client as Deno.TcpConn | Deno.UnixConn,
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

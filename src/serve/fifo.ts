/**
 * Services that read a named pipe.
 *
 * @module
 */
import { coroutineFifo, coroutineGo } from "../server/coroutine/serve.ts";
import { requireType, Service, type ServiceContext } from "./service.ts";

/** Reads a named pipe until the server is told to stop, which ends `chunks`. */
export type FifoHandler = (
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>>,
  context: ServiceContext,
) => void | Promise<void>;

/** How many bytes a chunk has at most: what the pipe itself holds. */
const CHUNK_BYTES = 65_536;

/**
 * A service of an address `fifo:PATH`. All writers share the pipe: what one of them writes at once, up to 4096 bytes,
 * stays together.
 *
 * @param handler Reads; an error in it is logged, and ends the reading of this process.
 * @returns The service, for `serve`.
 *
 * @example
 * ```ts
 * import { fifo, serve } from "@zc/master/serve";
 *
 * if (import.meta.main) {
 *   await serve({
 *     jobs: fifo(async (chunks) => {
 *       for await (const chunk of chunks) console.log(chunk.length, "bytes");
 *     }),
 *   });
 * }
 * ```
 */
export function fifo(handler: FifoHandler): Service {
  return new Service((fd, fdType, context) => {
    requireType(context.service, fdType, ["fifo"]);
    const reader = coroutineFifo(fd);
    coroutineGo(async () => {
      try {
        await handler(chunksOf(reader), context);
      } finally {
        reader.close();
      }
    });
  });
}

async function* chunksOf(
  reader: { read(room: Uint8Array): Promise<number | null> },
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const room = new Uint8Array(CHUNK_BYTES);
  for (let count; (count = await reader.read(room)) !== null;) yield room.slice(0, count);
}

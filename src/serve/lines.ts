/**
 * Services of protocols with lines, and the lines of a connection.
 *
 * @module
 */
import { requireOptions } from "../config/check_options.ts";
import { zdebug } from "../log/log.ts";
import { type ConnectionOptions, connections } from "./connections.ts";
import type { Service, ServiceContext } from "./service.ts";

const NEWLINE = 10, RETURN = 13;

/** The room for a line at first. */
const FIRST_ROOM_BYTES = 1_024;

/** The options of {@linkcode lines}. */
export interface LineOptions extends ConnectionOptions {
  /**
   * The most bytes of a line without its end. A client that sends a longer one is disconnected.
   *
   * @default {65536}
   */
  readonly longest?: number;
}

/** Serves one client. */
export type LineHandler = (client: LineClient, context: ServiceContext) => void | Promise<void>;

/** What a handler reads lines from, and writes to. */
export class LineClient implements AsyncIterable<string> {
  /** The connection itself; what it reads is no line any more. */
  readonly conn: Deno.Conn;
  readonly #longest: number;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();

  /**
   * Reads lines from a connection, and writes to it.
   *
   * @param conn The connection.
   * @param longest The most bytes of a line.
   */
  constructor(conn: Deno.Conn, longest: number) {
    this.conn = conn;
    this.#longest = longest;
  }

  /**
   * Sends all of a text or of some bytes.
   *
   * @param data The text or the bytes.
   * @returns Fulfilled when the kernel has taken them.
   */
  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? this.#encoder.encode(data) : data;
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  /**
   * The lines as text, without their ends: `\n`, or `\r\n`. What comes behind the last end is a line as well.
   *
   * @throws {LineTooLongError} When a line is longer than allowed.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    let room = new Uint8Array(Math.min(FIRST_ROOM_BYTES, this.#roomBytes)), length = 0;
    for (let count; (count = await this.conn.read(room.subarray(length))) !== null;) {
      // What was there before has no end of a line.
      let start = 0, from = length;
      length += count;
      const bytes = room.subarray(0, length);
      for (let end; (end = bytes.indexOf(NEWLINE, from)) >= 0; from = start) {
        yield this.#text(bytes.subarray(start, end));
        start = end + 1;
      }
      if (start > 0) room.copyWithin(0, start, length);
      length -= start;
      // Its `\r` may be there already.
      this.#check(length - 1);
      if (length === room.length) room = enlarged(room, this.#roomBytes);
    }
    if (length > 0) yield this.#text(room.subarray(0, length));
  }

  /** The longest line, with its end. */
  get #roomBytes(): number {
    return this.#longest + 2;
  }

  #text(line: Uint8Array): string {
    const text = line.at(-1) === RETURN ? line.subarray(0, -1) : line;
    this.#check(text.length);
    return this.#decoder.decode(text);
  }

  #check(length: number): void {
    if (length > this.#longest) throw new LineTooLongError(this.#longest);
  }
}

/** A client has sent a line that is longer than allowed. */
export class LineTooLongError extends Error {
  /** `LineTooLongError`. */
  override readonly name = "LineTooLongError";

  /**
   * Says how long a line may be.
   *
   * @param longest The most bytes of a line.
   */
  constructor(longest: number) {
    super(`Cannot read a line: found more than ${longest} bytes, expected its end`);
  }
}

/**
 * A service of a protocol with lines, such as SMTP or a chat.
 *
 * @param handler Serves one client; its connection is closed when the promise settles.
 * @param options The options.
 * @returns The service, for `serve`.
 *
 * @example
 * ```ts
 * import { lines, serve } from "@zc/master/serve";
 *
 * if (import.meta.main) {
 *   await serve({
 *     shout: lines(async (client) => {
 *       for await (const line of client) await client.write(`${line.toUpperCase()}\n`);
 *     }),
 *   });
 * }
 * ```
 */
export function lines(handler: LineHandler, options: LineOptions = {}): Service {
  requireOptions("lines", options, { tls: true, longest: true });
  const { longest = 65_536, ...rest } = options;
  if (!Number.isSafeInteger(longest) || longest < 1) {
    throw new RangeError(`Cannot read lines of ${longest} bytes: expected a whole number from 1`);
  }
  return connections(async (conn, context) => {
    try {
      await handler(new LineClient(conn, longest), context);
    } catch (error) {
      // The client's fault, of which no log should grow.
      if (!(error instanceof LineTooLongError)) throw error;
      zdebug("a client is disconnected:", error.message);
    }
  }, rest);
}

/** The same bytes with room for as many again, or for all that may come. */
function enlarged(room: Uint8Array<ArrayBuffer>, most: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(2 * room.length, most));
  larger.set(room);
  return larger;
}

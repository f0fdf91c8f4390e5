/**
 * Callback I/O of the aio mode (LIB-ZC's `zaio_t`): request a line, bytes, a flush or a delay, and receive a
 * callback. There are no promises in the interface.
 *
 * The connection is read only while an operation is pending, so TCP slows down a peer that sends too fast.
 *
 * This file is the interface: it checks arguments and passes calls on, input to `input.ts`, output to
 * `output.ts`, callbacks to `operation.ts`.
 *
 * @module
 */
import { type AioBase, type AioBaseCore, coreOf } from "./base.ts";
import type { AioConn } from "./conn.ts";
import { AioInput } from "./input.ts";
import { AioOperation } from "./operation.ts";
import { AioOutput } from "./output.ts";
import type { AioReadCache } from "./read_cache.ts";
import { startAioTls } from "./tls.ts";
import { ConnTransport } from "./conn_transport.ts";
import type { AioTransport } from "./transport.ts";
import { handshakeOf, type TlsContext, type TlsOptions } from "../tls/context.ts";

export type { AioConn };

/**
 * The callback at the end of an operation. It may be an `async` function: a rejection of its promise counts
 * as an exception in the callback. The promise is not awaited.
 */
export type AioCallback = (aio: Aio) => void;

const NEW_LINE = 0x0a;

/** Makes an `Aio` over a transport, which it then owns. */
export let aioOver: (transport: AioTransport, base: AioBase) => Aio;

/**
 * An asynchronous I/O object over a connection, or a timer.
 *
 * One operation at a time: `gets`, `readDelimiter`, `readn`, `read`, `readable`, `cacheFlush`,
 * `startTls` or `sleep`. Its callback runs from the event loop, never inside the call that asks for it, and finds
 * the outcome in {@linkcode result}. Operations that read leave the bytes in the read cache, to be
 * taken with {@linkcode getReadCache} or {@linkcode getReadCacheString}.
 *
 * What a callback throws closes its `Aio` and goes to {@linkcode AioBase.onError}.
 *
 * @example A line echo
 * ```ts
 * import { type Aio, AioBase, aioCreate } from "@zc/master/aio-server";
 *
 * function afterRead(aio: Aio): void {
 *   const length = aio.getResult();
 *   if (length < 1) return aio.close();
 *   aio.cachePuts("your input:   ");
 *   aio.cacheWrite(aio.getReadCache(length));
 *   aio.cacheFlush(afterWrite);
 * }
 *
 * function afterWrite(aio: Aio): void {
 *   if (aio.getResult() < 1) return aio.close();
 *   aio.gets(10240, afterRead);
 * }
 *
 * const base = new AioBase();
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * listener.accept().then((conn) => aioCreate(conn, base).gets(10240, afterRead));
 * ```
 */
export class Aio {
  /** The base that owns this object (`zaio_get_aio_base`). */
  readonly base: AioBase;
  /** Any value, for the user (`zaio_set_context`). */
  context: unknown = undefined;

  readonly #core: AioBaseCore;
  readonly #operation: AioOperation<Aio>;
  #transport: AioTransport | undefined;
  // Undefined in a timer and after close.
  #input: AioInput<Aio> | undefined;
  #output: AioOutput<Aio> | undefined;
  #closed = false;

  static {
    aioOver = (transport, base) => {
      const aio = new Aio(-1, base);
      aio.#connect(transport);
      return aio;
    };
  }

  /**
   * Makes an object over a connection, which it then owns, or a timer.
   *
   * @param conn The connection, or -1 for a timer, which can only `sleep`.
   * @param base The base that owns the object.
   */
  constructor(conn: AioConn | -1, base: AioBase) {
    const core = coreOf(base);
    this.base = base;
    this.#core = core;
    this.#operation = new AioOperation<Aio>(this, core);
    core.add(this);
    if (conn !== -1) this.#connect(new ConnTransport(conn));
  }

  #connect(transport: AioTransport): void {
    this.#open(transport);
    this.#core.connected();
  }

  /** The peer's address; a timer has none. */
  get remoteAddr(): Deno.Addr | undefined {
    return this.#transport?.remoteAddr;
  }

  /** This end's address; a timer has none. */
  get localAddr(): Deno.Addr | undefined {
    return this.#transport?.localAddr;
  }

  /**
   * The outcome of the last operation:
   *
   * - above 0: it is done. For an operation that reads: how many bytes to take from the read
   *   cache; for `readable`, `cacheFlush`, `startTls` and `sleep`: 1.
   * - 0: the peer ended its stream before the operation had what it asked for. What it sent last
   *   is still in the read cache. (LIB-ZC gives -1; both are `< 1`.) Also the result of asking
   *   for 0 bytes.
   * - -1: it failed, {@linkcode error} says why.
   * - -2: it timed out. Nothing is lost: what arrived, and what was not written, stays cached.
   *   (LIB-ZC gives -1 when anything was transferred before.)
   *
   * 1 before the first operation.
   */
  get result(): number {
    return this.#operation.result;
  }

  /** The error of the last operation with the result -1 or -2; otherwise `undefined`. */
  get error(): Error | undefined {
    return this.#operation.error;
  }

  /**
   * The outcome of the last operation (`zaio_get_result`).
   *
   * @returns The same as {@linkcode result}.
   */
  getResult(): number {
    return this.#operation.result;
  }

  /**
   * Limits the time that an operation waits for input (`zaio_set_read_wait_timeout`). As in LIB-ZC the time starts
   * again whenever data arrives.
   *
   * @param seconds The limit, from the next operation on; below 0, as at the start, there is none.
   * @throws {RangeError} When `seconds` is not a number.
   */
  setReadWaitTimeout(seconds: number): void {
    this.#inputFor("setReadWaitTimeout").timeoutMs = milliseconds("setReadWaitTimeout", seconds);
  }

  /**
   * Limits the time that a flush waits for the peer (`zaio_set_write_wait_timeout`). As in LIB-ZC the time starts
   * again whenever data was accepted.
   *
   * @param seconds The limit, from the next operation on; below 0, as at the start, there is none.
   * @throws {RangeError} When `seconds` is not a number.
   */
  setWriteWaitTimeout(seconds: number): void {
    this.#outputFor("setWriteWaitTimeout").timeoutMs = milliseconds("setWriteWaitTimeout", seconds);
  }

  /**
   * Reads a line (`zaio_gets`): up to and including the first line feed.
   *
   * A line longer than `maxLength` is an error: result -1, {@linkcode error} a `RangeError`. (LIB-ZC
   * hands out its first part as if it were a line.) Its beginning stays in the read cache.
   *
   * @param maxLength The most bytes, line feed included.
   * @param callback Called with the length of the line as result.
   * @throws {RangeError} When `maxLength` is not a whole number from 0.
   */
  gets(maxLength: number, callback: AioCallback): void {
    const input = this.#inputFor("gets");
    input.delimiter = NEW_LINE;
    input.start("gets", maxLength, callback);
  }

  /**
   * Reads up to and including a byte (`zaio_read_delimiter`); else like {@linkcode gets}.
   *
   * @param delimiter The byte: 0 to 255, or a character of ASCII.
   * @param maxLength The most bytes, delimiter included.
   * @param callback Called with the number of bytes as result.
   * @throws {RangeError} When `delimiter` or `maxLength` is out of range.
   */
  readDelimiter(delimiter: number | string, maxLength: number, callback: AioCallback): void {
    const byte = typeof delimiter === "number"
      ? delimiter
      : delimiter.length === 1 && delimiter < "\x80"
      ? delimiter.charCodeAt(0)
      : NaN;
    if (!(Number.isInteger(byte) && byte >= 0 && byte <= 255)) {
      throw new RangeError(
        `Cannot start "readDelimiter": delimiter ${JSON.stringify(delimiter)}, expected one byte`,
      );
    }
    const input = this.#inputFor("readDelimiter");
    input.delimiter = byte;
    input.start("readDelimiter", maxLength, callback);
  }

  /**
   * Reads an exact number of bytes (`zaio_readn`). Memory grows with the received bytes, not with `length`.
   *
   * @param length The number of bytes.
   * @param callback Called with `length` as result.
   * @throws {RangeError} When `length` is not a whole number from 0.
   */
  readn(length: number, callback: AioCallback): void {
    this.#inputFor("readn").start("readn", length, callback);
  }

  /**
   * Reads the available bytes, as soon as there are any (`zaio_read`).
   *
   * @param maxLength The most bytes.
   * @param callback Called with the number of bytes as result.
   * @throws {RangeError} When `maxLength` is not a whole number from 0.
   */
  read(maxLength: number, callback: AioCallback): void {
    this.#inputFor("read").start("read", maxLength, callback);
  }

  /**
   * Waits until a read would not wait (`zaio_readable`): data is available, or the stream has ended or failed. The
   * result is 1 in each case, as in LIB-ZC; the next read distinguishes them.
   *
   * @param callback Called with 1 as result.
   */
  readable(callback: AioCallback): void {
    this.#inputFor("readable").start("readable", 1, callback);
  }

  /** How many bytes are in the read cache (`zaio_get_read_cache_size`). */
  get readCacheSize(): number {
    return this.#input?.cache.size ?? 0;
  }

  /**
   * Takes bytes out of the read cache (`zaio_get_read_cache`).
   *
   * @param length How many.
   * @returns A copy. Short ones share an ArrayBuffer with others: `byteOffset` matters.
   * @throws {RangeError} When there are fewer in the cache.
   */
  getReadCache(length: number): Uint8Array<ArrayBuffer> {
    return this.#cacheWith(length).take(length);
  }

  /**
   * Takes bytes out of the read cache without copying them; otherwise like {@linkcode getReadCache}. For
   * immediate use, as in `aio.cacheWriteDirect(aio.getReadCacheDirect(length))` followed by a flush.
   *
   * @param length The number of bytes.
   * @returns The bytes, valid until the next operation that reads, or the end of the `Aio`.
   * @throws {RangeError} When there are fewer in the cache.
   */
  getReadCacheDirect(length: number): Uint8Array<ArrayBuffer> {
    return this.#cacheWith(length).takeDirect(length);
  }

  /**
   * Takes bytes out of the read cache as text.
   *
   * @param length The number of bytes; by default all.
   * @returns The text; U+FFFD replaces invalid UTF-8.
   * @throws {RangeError} When there are fewer in the cache.
   */
  getReadCacheString(length: number = this.readCacheSize): string {
    return this.#cacheWith(length).takeText(length);
  }

  /**
   * Caches a copy for the next flush (`zaio_cache_write`).
   *
   * Nothing is sent before {@linkcode cacheFlush}. If the cache would exceed the base's `writeCacheLimit`, the
   * data is dropped, the pending or next flush fails, and nothing can be written any more, since the stream
   * would have a gap.
   *
   * @param data Bytes, or text that is encoded as UTF-8.
   */
  cacheWrite(data: Uint8Array | string): void {
    if (typeof data === "string") return this.cachePuts(data);
    const output = this.#outputFor("cacheWrite");
    if (output.accepts(data.length)) output.cache.append(data);
  }

  /**
   * Caches text for the next flush (`zaio_cache_puts`); else like {@linkcode cacheWrite}.
   *
   * @param text What becomes UTF-8; no line feed is added.
   */
  cachePuts(text: string): void {
    const output = this.#outputFor("cachePuts");
    if (output.accepts(text.length)) output.cache.appendText(text);
  }

  /**
   * Caches bytes without copying them (`zaio_cache_write_direct`); else like {@linkcode cacheWrite}.
   *
   * @param data The bytes; not to be changed before they are flushed.
   */
  cacheWriteDirect(data: Uint8Array): void {
    const output = this.#outputFor("cacheWriteDirect");
    if (output.accepts(data.length)) output.cache.appendDirect(data);
  }

  /** How many bytes are in the write cache (`zaio_get_write_cache_size`). */
  get writeCacheSize(): number {
    return this.#output?.cache.size ?? 0;
  }

  /**
   * Writes everything that is cached, gathered (`zaio_cache_flush`).
   *
   * @param callback Called when the kernel accepted everything, with 1 as result. A peer that does
   * not read delays it: this is the back-pressure.
   */
  cacheFlush(callback: AioCallback): void {
    this.#outputFor("cacheFlush").flush(callback);
  }

  /**
   * Starts TLS on the connection, as the server, and waits for the handshake: a server calls this after it has
   * answered STARTTLS and flushed the answer. No other operation is possible meanwhile; the time limits stay.
   *
   * Bytes in the read cache arrived without TLS, maybe not from the client, and must not count as data of the TLS
   * connection (CVE-2011-0411). They are an error: result -1, {@linkcode error} a `HandshakeError`, no TLS.
   *
   * @param tls Certificate and key; a `TlsContext` saves reading them each time.
   * @param callback Called with 1 as result after the handshake; with -2 when the client took longer than
   * `handshakeSeconds`, and with -1 when it failed: the connection is closed then.
   * @throws {ConfigError} When certificate or key are unusable; it names the file.
   * @throws {Deno.errors.Busy} When a read or write is under way, or cached data is not flushed.
   */
  startTls(tls: TlsOptions | TlsContext, callback: AioCallback): void {
    const input = this.#inputFor("startTls"), output = this.#outputFor("startTls");
    startAioTls<Aio>({
      operation: this.#operation,
      input,
      output,
      tls,
      callback,
      suspend: () => {
        const conn = this.#transport!.release();
        this.#transport = new ConnTransport(conn);
        this.#input = this.#output = undefined;
        return conn;
      },
      resume: (conn) => this.#reopen(conn, { input, output }),
    });
  }

  /** The negotiated parameters of TLS; `undefined` without TLS. */
  get tls(): Deno.TlsHandshakeInfo | undefined {
    const conn = this.#transport?.conn;
    return conn && handshakeOf(conn);
  }

  /**
   * Waits (`zaio_sleep`).
   *
   * @param callback Called with 1 as result.
   * @param seconds How long; fractions count. 0 or less: as soon as others had their turn.
   * @throws {RangeError} When `seconds` is not a number.
   */
  sleep(callback: AioCallback, seconds: number): void {
    const waitMs = milliseconds("sleep", seconds);
    if (this.#closed) this.#refuse("sleep");
    this.#operation.begin("sleep", callback);
    if (waitMs > 0) this.#operation.arm(waitMs);
    else this.#operation.finishAfterOthers();
  }

  /**
   * Cancels the pending operation without a callback (`zaio_disable`). No data is lost: it stays for the next
   * operation. Does nothing without an operation.
   */
  disable(): void {
    this.#operation.cancel();
  }

  /**
   * Closes the connection or ends the timer (`zaio_free(aio, 1)`). The callback of a pending operation is not
   * called. A second call does nothing.
   */
  close(): void {
    if (this.#closed) return;
    this.#free();
    this.#transport?.close();
  }

  /**
   * Lets go of the connection without closing it (`zaio_free(aio, 0)`). As with {@linkcode close} the
   * callback of an operation under way is not called, and what is cached is dropped.
   *
   * @returns The connection, the caller's now.
   * @throws {Deno.errors.Busy} When a read or write that timed out or was disabled is still under
   * way: its bytes would be lost.
   * @throws {TypeError} When this is a timer.
   * @throws {Deno.errors.BadResource} When this is closed.
   */
  release(): AioConn {
    const { isReading } = this.#inputFor("release"), { isWriting } = this.#outputFor("release");
    if (isReading || isWriting) {
      throw new Deno.errors.Busy(
        `Cannot release "${isReading ? "read" : "write"}": still under way, expected none`,
      );
    }
    this.#free();
    return this.#transport!.release();
  }

  #open(transport: AioTransport): void {
    const { buffers, writeCacheLimit } = this.#core;
    this.#transport = transport;
    this.#input = new AioInput(transport, buffers, this.#operation);
    this.#output = new AioOutput(transport, buffers, this.#operation, writeCacheLimit);
    transport.bind(this.#input, this.#output);
  }

  #reopen(conn: AioConn, before: { input: AioInput<Aio>; output: AioOutput<Aio> }): void {
    before.input.discard();
    before.output.discard();
    const transport = new ConnTransport(conn);
    // At the moment between the plain connection and the one over TLS, close() closes neither.
    if (this.#closed) return transport.close();
    this.#open(transport);
    this.#input!.timeoutMs = before.input.timeoutMs;
    this.#output!.timeoutMs = before.output.timeoutMs;
  }

  #free(): void {
    this.#closed = true;
    this.#operation.discard();
    this.#input?.discard();
    this.#output?.discard();
    this.#input = this.#output = undefined;
    this.#core.remove(this, this.#transport !== undefined);
  }

  #inputFor(action: string): AioInput<Aio> {
    return this.#input ?? this.#refuse(action);
  }

  #outputFor(action: string): AioOutput<Aio> {
    return this.#output ?? this.#refuse(action);
  }

  #refuse(action: string): never {
    if (this.#closed) {
      throw new Deno.errors.BadResource(`Cannot start "${action}": closed, expected an open Aio`);
    }
    if (this.#transport !== undefined) {
      throw new Deno.errors.Busy(`Cannot start "${action}": a TLS handshake is under way`);
    }
    throw new TypeError(`Cannot start "${action}": a timer, expected an Aio with a connection`);
  }

  #cacheWith(length: number): AioReadCache {
    const cache = this.#inputFor("getReadCache").cache;
    if (!(Number.isInteger(length) && length >= 0 && length <= cache.size)) {
      refuseLength(length, cache.size);
    }
    return cache;
  }
}

/**
 * Makes an `Aio` (`zaio_create`).
 *
 * @param conn The connection, which the `Aio` then owns; -1: none, it is a timer.
 * @param base The base that owns the `Aio`.
 * @returns The `Aio`.
 *
 * @example A timer
 * ```ts
 * import { AioBase, aioCreate } from "@zc/master/aio-server";
 *
 * aioCreate(-1, new AioBase()).sleep((timer) => {
 *   console.log("a tenth of a second later");
 *   timer.close();
 * }, 0.1);
 * ```
 */
export function aioCreate(conn: AioConn | -1, base: AioBase): Aio {
  return new Aio(conn, base);
}

function refuseLength(length: number, size: number): never {
  throw new RangeError(
    `Cannot take "${length}" bytes of the read cache: ${size} there, expected no more`,
  );
}

function milliseconds(action: string, seconds: number): number {
  if (!Number.isNaN(seconds)) return seconds * 1000;
  throw new RangeError(`Cannot start "${action}": ${seconds} seconds, expected a number`);
}

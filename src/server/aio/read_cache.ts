/**
 * The read cache of a connection: one window of bytes in a borrowed buffer.
 *
 * There is a buffer only while there are bytes, or a read. Its size follows the traffic: small while the peer's
 * data fits, larger after each read that filled it, as large as requested when an operation needs more than 64
 * KiB. Bytes are moved only when less than a quarter of the buffer is free behind them, so that each byte is moved
 * about twice at most. This file does no I/O.
 *
 * @module
 */
import {
  type AioBuffer,
  type AioBuffers,
  bufferSize,
  LARGE_BUFFER,
  SMALL_BUFFER,
} from "./buffers.ts";

// A byte order mark is ordinary text: removing it would lose bytes of the stream.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The read cache of one connection. */
export class AioReadCache {
  readonly #buffers: AioBuffers;
  #buffer: AioBuffer | undefined;
  #start = 0;
  #end = 0;
  /** The room lent to the read under way; 0 when there is none. */
  #lent = 0;
  /** Whether bytes of the buffer are out that were not copied. */
  #direct = false;
  /** The least size of the next buffer. */
  #nextSize = SMALL_BUFFER;

  /**
   * Makes an empty cache, which holds no memory yet.
   *
   * @param buffers Where buffers are borrowed.
   */
  constructor(buffers: AioBuffers) {
    this.#buffers = buffers;
  }

  /** How many bytes are here. */
  get size(): number {
    return this.#end - this.#start;
  }

  /**
   * Lends the free room to one read. Until {@linkcode filled} is called, cached bytes may be taken, but no other
   * room may be lent.
   */
  lend(): Uint8Array<ArrayBuffer> {
    this.#direct = false;
    const kept = this.size, size = this.#wantedSize;
    let buffer = this.#buffer;
    if (buffer?.length !== size) buffer = this.#moveTo(size);
    else if (size - this.#end < size / 4) {
      buffer.bytes.copyWithin(0, this.#start, this.#end);
      this.#start = 0;
      this.#end = kept;
    }
    this.#lent = size - this.#end;
    return this.#end === 0 ? buffer.bytes : buffer.bytes.subarray(this.#end);
  }

  /**
   * Reports the end of the read.
   *
   * @param bytes The number of bytes read; 0 at the end of the stream or after an error.
   */
  filled(bytes: number): void {
    const full = bytes === this.#lent;
    this.#lent = 0;
    this.#end += bytes;
    // A read that did not fill its room emptied the socket: the next one may wait for long, and
    // must not hold much memory while it does.
    this.#nextSize = full ? Math.min(LARGE_BUFFER, this.#buffer!.length * 4) : SMALL_BUFFER;
    this.#giveBackWhenEmpty();
  }

  /**
   * Searches for a byte.
   *
   * @param byte The byte, 0 to 255.
   * @param from How many cached bytes to pass over: those that were searched before.
   * @returns How many bytes are before it, or -1.
   */
  find(byte: number, from: number): number {
    const start = this.#start, end = this.#end;
    if (this.#buffer === undefined || start + from === end) return -1;
    const found = this.#buffer.search.indexOf(byte, start + from, end);
    return found < 0 ? -1 : found - start;
  }

  /**
   * Takes bytes out.
   *
   * @param length How many; they must be here.
   * @returns A copy of them.
   */
  take(length: number): Uint8Array<ArrayBuffer> {
    if (length === 0) return new Uint8Array(0);
    const copy = this.#buffers.copy(this.#buffer!.bytes, this.#start, this.#start + length);
    this.#pass(length);
    return copy;
  }

  /**
   * Takes bytes out without copying them.
   *
   * @param length How many; they must be here.
   * @returns Themselves, until room is lent to another read.
   */
  takeDirect(length: number): Uint8Array<ArrayBuffer> {
    if (length === 0) return new Uint8Array(0);
    // A third faster than `subarray`.
    const bytes = new Uint8Array(this.#buffer!.memory, this.#start, length);
    this.#direct = true;
    this.#pass(length);
    return bytes;
  }

  /**
   * Takes bytes out as text.
   *
   * @param length How many; they must be here.
   * @returns The text; U+FFFD stands for what is no UTF-8.
   */
  takeText(length: number): string {
    if (length === 0) return "";
    const text = decoder.decode(this.#buffer!.bytes.subarray(this.#start, this.#start + length));
    this.#pass(length);
    return text;
  }

  /**
   * Prepares for a wait, which may be long: ends the use of bytes that were taken without a copy, and keeps those that
   * are here in no larger a buffer than the next read needs.
   */
  rest(): void {
    this.#direct = false;
    this.#giveBackWhenEmpty();
    if (this.#buffer !== undefined && this.#buffer.length > this.#wantedSize) {
      this.#moveTo(this.#wantedSize);
    }
  }

  /** The size of the buffer for the next read: the bytes that are here fill half of it at most. */
  get #wantedSize(): number {
    return Math.max(bufferSize(this.size * 2), this.#nextSize);
  }

  /** Moves the bytes into a buffer of another size. */
  #moveTo(size: number): AioBuffer {
    const kept = this.size, before = this.#buffer, other = this.#buffers.take(size);
    if (before !== undefined) {
      if (kept > 0) other.bytes.set(before.bytes.subarray(this.#start, this.#end));
      this.#buffers.give(before);
    }
    this.#start = 0;
    this.#end = kept;
    return this.#buffer = other;
  }

  /** Gives the memory back; a buffer that a read still holds is left to it. */
  discard(): void {
    if (this.#lent === 0 && this.#buffer !== undefined) this.#buffers.give(this.#buffer);
    this.#buffer = undefined;
    this.#start = this.#end = 0;
  }

  #pass(length: number): void {
    this.#start += length;
    this.#giveBackWhenEmpty();
  }

  /** Without bytes and without a read it needs no buffer; that of one connection then serves the next. */
  #giveBackWhenEmpty(): void {
    if (this.#start < this.#end || this.#lent > 0) return;
    this.#start = this.#end = 0;
    if (this.#buffer === undefined || this.#direct) return;
    this.#buffers.give(this.#buffer);
    this.#buffer = undefined;
  }
}

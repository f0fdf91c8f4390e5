/**
 * The write cache of a connection: all data since the last flush, gathered into as few pieces as possible.
 *
 * Memory is borrowed with the first byte and returned with the last. This file does no I/O.
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

const encoder = new TextEncoder();

/** Up to this length a loop over the characters beats a call of the encoder. */
const SHORT_TEXT = 64;

/** A piece that takes no more bytes. */
interface Sealed {
  readonly bytes: Uint8Array;
  start: number;
  readonly end: number;
  /** The buffer to give back when the piece is written. */
  readonly borrowed: AioBuffer | undefined;
}

/** The write cache of one connection. */
export class AioWriteCache {
  readonly #buffers: AioBuffers;
  /** A direct piece that is the only one, as a response often is: it needs no copy. */
  #only: Uint8Array | undefined;
  /** Pieces before the open one, in order. */
  #sealed: Sealed[] = [];
  /** The open piece, where bytes are gathered. */
  #buffer: AioBuffer | undefined;
  #start = 0;
  #end = 0;
  #size = 0;
  /** Whether a write holds the first piece: it must neither move nor be given back. */
  #lent = false;

  /**
   * Makes an empty cache, which holds no memory yet.
   *
   * @param buffers Where buffers are borrowed.
   */
  constructor(buffers: AioBuffers) {
    this.#buffers = buffers;
  }

  /** How many bytes wait to be written. */
  get size(): number {
    return this.#size;
  }

  /**
   * Appends a copy.
   *
   * @param bytes What to append.
   */
  append(bytes: Uint8Array): void {
    const length = bytes.length;
    if (length > LARGE_BUFFER) {
      this.#appendSealed(bytes.slice());
    } else if (length > 0) {
      this.#room(length).bytes.set(bytes, this.#end);
      this.#end += length;
      this.#size += length;
    }
  }

  /**
   * Appends text as UTF-8.
   *
   * @param text What to append.
   */
  appendText(text: string): void {
    const length = text.length;
    // No UTF-16 unit becomes more than three bytes.
    if (length * 3 > LARGE_BUFFER) {
      const bytes = encoder.encode(text);
      if (bytes.length > LARGE_BUFFER) this.#appendSealed(bytes);
      else this.append(bytes);
      return;
    }
    if (length === 0) return;
    const buffer = this.#room(length * 3).bytes;
    const end = this.#end;
    let written = 0;
    if (length <= SHORT_TEXT) {
      for (; written < length; written++) {
        const unit = text.charCodeAt(written);
        if (unit > 0x7f) break;
        buffer[end + written] = unit;
      }
    }
    // Not short, or not ASCII: again from the start, since a character may be two units.
    if (written < length) written = encoder.encodeInto(text, buffer.subarray(end)).written;
    this.#end += written;
    this.#size += written;
  }

  /**
   * Appends without a copy, unless a copy is cheaper than a write of its own.
   *
   * @param bytes What to append; not to be changed before it is written.
   */
  appendDirect(bytes: Uint8Array): void {
    if (this.#size === 0 && bytes.length > 0) {
      this.#only = bytes;
      this.#size = bytes.length;
    } else if (bytes.length > SMALL_BUFFER) this.#appendSealed(bytes);
    else this.append(bytes);
  }

  /**
   * Lends the first piece to one write. Until {@linkcode written} is called, data may be appended, but no other
   * piece may be lent.
   */
  lend(): Uint8Array {
    this.#lent = true;
    if (this.#only !== undefined) return this.#only;
    const first = this.#sealed[0];
    if (first !== undefined) {
      return first.end - first.start === first.bytes.length
        ? first.bytes
        : first.bytes.subarray(first.start, first.end);
    }
    return this.#buffer!.bytes.subarray(this.#start, this.#end);
  }

  /**
   * Reports the end of the write; not called after an error, since nothing is written any more then.
   *
   * @param bytes The number of written bytes.
   */
  written(bytes: number): void {
    this.#lent = false;
    this.#size -= bytes;
    const only = this.#only;
    if (only !== undefined) {
      this.#only = bytes < only.length ? only.subarray(bytes) : undefined;
      return;
    }
    const first = this.#sealed[0];
    if (first !== undefined) {
      first.start += bytes;
      if (first.start < first.end) return;
      this.#sealed.shift();
      if (first.borrowed !== undefined) this.#buffers.give(first.borrowed);
    } else {
      this.#start += bytes;
      if (this.#start === this.#end) this.#giveBack();
    }
  }

  /** Gives the memory back and forgets what was not written; what a write holds is left to it. */
  discard(): void {
    if (!this.#lent) this.#giveBack();
    this.#buffer = this.#only = undefined;
    this.#sealed = [];
    this.#start = this.#end = this.#size = 0;
  }

  /** Makes room in the open piece, and returns its buffer; at most LARGE_BUFFER at once. */
  #room(length: number): AioBuffer {
    const buffer = this.#buffer;
    if (buffer === undefined) return this.#openFor(length);
    if (buffer.length - this.#end >= length) return buffer;
    const kept = this.#end - this.#start;
    const held = this.#lent && this.#sealed.length === 0;
    if (held || kept + length > LARGE_BUFFER) {
      this.#seal();
      return this.#openFor(LARGE_BUFFER);
    }
    // A larger buffer, or the same one from its start, keeps it a single write.
    const size = bufferSize(kept + length);
    if (size === buffer.length) {
      buffer.bytes.copyWithin(0, this.#start, this.#end);
      this.#start = 0;
      this.#end = kept;
      return buffer;
    }
    const larger = this.#buffers.take(size);
    larger.bytes.set(buffer.bytes.subarray(this.#start, this.#end));
    this.#giveBack();
    this.#end = kept;
    return this.#buffer = larger;
  }

  #openFor(length: number): AioBuffer {
    this.#start = this.#end = 0;
    this.#sealOnly();
    const last = this.#sealed.at(-1);
    const isFree = last !== undefined && last.borrowed === undefined &&
      last.bytes.length <= SMALL_BUFFER;
    if (!isFree) return this.#buffer = this.#buffers.take(bufferSize(length));
    // A small direct piece is not the only one any more: a copy saves its own write.
    this.#sealed.pop();
    const bytes = last.bytes.subarray(last.start);
    const buffer = this.#buffers.take(bufferSize(length + bytes.length));
    buffer.bytes.set(bytes);
    this.#end = bytes.length;
    return this.#buffer = buffer;
  }

  #appendSealed(bytes: Uint8Array): void {
    this.#sealOnly();
    if (this.#buffer !== undefined) this.#seal();
    this.#sealed.push({ bytes, start: 0, end: bytes.length, borrowed: undefined });
    this.#size += bytes.length;
  }

  /** Moves the only piece to the list of pieces. */
  #sealOnly(): void {
    const bytes = this.#only;
    if (bytes === undefined) return;
    this.#sealed.push({ bytes, start: 0, end: bytes.length, borrowed: undefined });
    this.#only = undefined;
  }

  #seal(): void {
    const buffer = this.#buffer!;
    const { bytes } = buffer;
    this.#sealed.push({ bytes, start: this.#start, end: this.#end, borrowed: buffer });
    this.#buffer = undefined;
    this.#start = this.#end = 0;
  }

  #giveBack(): void {
    if (this.#buffer !== undefined) this.#buffers.give(this.#buffer);
    this.#buffer = undefined;
    this.#start = this.#end = 0;
  }
}

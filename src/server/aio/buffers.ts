/**
 * Memory for the read and write caches of an event base: buffers that are lent and given back.
 *
 * Three sizes are kept for reuse, a bounded number of each, so that memory shrinks again after a
 * load. This file knows nothing of connections.
 *
 * @module
 */
import { ByteSearch } from "./byte_search.ts";

/** What the first read of a connection gets. */
export const SMALL_BUFFER = 4 * 1024;
/** The most that one read or one gathered write carries. */
export const LARGE_BUFFER = 64 * 1024;
const MEDIUM_BUFFER = 16 * 1024;

/** How many free buffers of each size are kept: together at most 4 MiB. */
const KEPT_SMALL = 256, KEPT_MEDIUM = 128, KEPT_LARGE = 16;

/** Copies are cut from slabs of this size: one allocation for many lines instead of one for each. */
const SLAB_BYTES = 8 * 1024;
/** Longer copies get memory of their own, so that keeping one of them keeps no slab alive. */
const LONGEST_IN_SLAB = SLAB_BYTES / 8;

/** Up to this length a loop beats a view and a call. */
const SHORT_COPY = 64;

/**
 * The size of buffer to take for a need.
 *
 * @param bytes How much must fit.
 * @returns The smallest size on offer: 4, 16 or 64 KiB, beyond that a power of two.
 */
export function bufferSize(bytes: number): number {
  if (bytes <= SMALL_BUFFER) return SMALL_BUFFER;
  if (bytes <= MEDIUM_BUFFER) return MEDIUM_BUFFER;
  let size = LARGE_BUFFER;
  while (size < bytes) size *= 2;
  return size;
}

/** A buffer, with what belongs to its memory. */
export class AioBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly memory: ArrayBuffer;
  #search: ByteSearch | undefined;

  /** @param size Its length. */
  constructor(size: number) {
    this.memory = new ArrayBuffer(size);
    this.bytes = new Uint8Array(this.memory);
  }

  /** Its length. */
  get length(): number {
    return this.bytes.length;
  }

  /** The search in it, made with the first use. */
  get search(): ByteSearch {
    return this.#search ??= new ByteSearch(this.bytes);
  }
}

/** Lends buffers; they come with whatever their last user left in them. */
export class AioBuffers {
  readonly #small: AioBuffer[] = [];
  readonly #medium: AioBuffer[] = [];
  readonly #large: AioBuffer[] = [];
  #slab: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #slabUsed = 0;

  /**
   * Lends a buffer.
   *
   * @param size One of the sizes that {@linkcode bufferSize} returns.
   * @returns A buffer of exactly that size.
   */
  take(size: number): AioBuffer {
    return this.#listFor(size)?.pop() ?? new AioBuffer(size);
  }

  /**
   * Takes a buffer back.
   *
   * @param buffer One that {@linkcode take} lent and that is not read or written any more; the
   * kernel neither.
   */
  give(buffer: AioBuffer): void {
    const kept = buffer.length === SMALL_BUFFER
      ? KEPT_SMALL
      : buffer.length === MEDIUM_BUFFER
      ? KEPT_MEDIUM
      : KEPT_LARGE;
    const list = this.#listFor(buffer.length);
    if (list !== undefined && list.length < kept) list.push(buffer);
  }

  /**
   * Copies bytes out of a buffer. Short copies share one ArrayBuffer, as Node's `Buffer` does:
   * making one costs a quarter of what an ArrayBuffer of its own does.
   *
   * @param source Where from.
   * @param start The first byte.
   * @param end The byte after the last.
   * @returns Bytes that stay as they are whatever happens to `source`.
   */
  copy(source: Uint8Array<ArrayBuffer>, start: number, end: number): Uint8Array<ArrayBuffer> {
    const length = end - start;
    if (length > LONGEST_IN_SLAB) return source.slice(start, end);
    if (this.#slabUsed + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#slabUsed = 0;
    }
    const copy = this.#slab.subarray(this.#slabUsed, this.#slabUsed + length);
    this.#slabUsed += length;
    if (length > SHORT_COPY) copy.set(source.subarray(start, end));
    else for (let i = 0; i < length; i++) copy[i] = source[start + i]!;
    return copy;
  }

  #listFor(size: number): AioBuffer[] | undefined {
    if (size === SMALL_BUFFER) return this.#small;
    if (size === MEDIUM_BUFFER) return this.#medium;
    return size === LARGE_BUFFER ? this.#large : undefined;
  }
}

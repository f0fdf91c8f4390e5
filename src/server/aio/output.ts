/**
 * The writing side of an `Aio`: caches data, writes it while a flush is pending, and ends the flush when the kernel
 * has accepted all of it.
 *
 * Nothing is written without a flush. A write can't be cancelled, so it may outlive a flush that timed out; the
 * next flush joins it.
 *
 * @module
 */
import type { AioHandle } from "./base.ts";
import type { AioBuffers } from "./buffers.ts";
import { type AioOperation, DONE, FAILED } from "./operation.ts";
import { type AioTransport, type AioWriter, PENDING } from "./transport.ts";
import { AioWriteCache } from "./write_cache.ts";

/** The writing side of one connection. */
export class AioOutput<Owner extends AioHandle> implements AioWriter {
  /** What waits to be written. */
  readonly cache: AioWriteCache;
  /** How long a flush waits for the peer, in milliseconds; below 0: for ever. */
  timeoutMs: number = -1;

  readonly #transport: AioTransport;
  readonly #operation: AioOperation<Owner>;
  readonly #limit: number;
  #writing = false;
  #discarded = false;
  #error: Error | undefined = undefined;

  /**
   * Makes the writing side.
   *
   * @param transport Where bytes go.
   * @param buffers Where memory is borrowed.
   * @param operation What waits for the flush.
   * @param limit How many bytes may be cached.
   */
  constructor(
    transport: AioTransport,
    buffers: AioBuffers,
    operation: AioOperation<Owner>,
    limit: number,
  ) {
    this.#transport = transport;
    this.#operation = operation;
    this.#limit = limit;
    this.cache = new AioWriteCache(buffers);
  }

  /** Whether a write is under way. */
  get isWriting(): boolean {
    return this.#writing;
  }

  /**
   * Whether more bytes may be cached. If not, nothing can be written any more: the pending or next flush fails.
   *
   * @param length The number of bytes.
   */
  accepts(length: number): boolean {
    return this.#error === undefined &&
      (this.cache.size + length <= this.#limit || this.#refuse(length));
  }

  /**
   * Writes everything that is cached.
   *
   * @param callback What to call when it is accepted.
   * @throws {Deno.errors.Busy} When an operation is pending.
   */
  flush(callback: (owner: Owner) => void): void {
    this.#operation.begin("cacheFlush", callback);
    if (this.#error !== undefined) {
      this.#operation.finishLater(FAILED, this.#error);
    } else if (this.cache.size === 0) {
      this.#operation.finishLater(DONE);
    } else {
      if (!this.#writing) this.#write();
      if (this.#error !== undefined) this.#operation.finishLater(FAILED, this.#error);
      else if (this.#writing) this.#operation.arm(this.timeoutMs);
      else this.#operation.finishLater(DONE);
    }
  }

  /** Gives memory back; what was not written is dropped. */
  discard(): void {
    this.#discarded = true;
    this.cache.discard();
  }

  #refuse(length: number): false {
    const size = this.cache.size + length;
    this.#error = new RangeError(
      `Cannot cache "${length}" bytes: ${size} in the write cache, expected at most ${this.#limit}`,
    );
    if (this.#isFlushing) this.#operation.finishLater(FAILED, this.#error);
    return false;
  }

  get #isFlushing(): boolean {
    return this.#operation.name === "cacheFlush" && this.#operation.isWaiting;
  }

  /** Writes all that is cached, or until the transport has to wait, or the write fails. */
  #write(): void {
    try {
      do {
        const bytes = this.#transport.write();
        this.#writing = bytes === PENDING;
        if (this.#writing) return;
        this.cache.written(bytes);
      } while (this.cache.size > 0);
    } catch (error) {
      this.#error = error as Error;
    }
  }

  lendPiece(): Uint8Array {
    return this.cache.lend();
  }

  written(bytes: number): void {
    this.#writing = false;
    if (this.#discarded) return;
    this.cache.written(bytes);
    if (!this.#isFlushing) return;
    if (this.cache.size > 0) this.#write();
    if (this.#error !== undefined) this.#operation.finish(FAILED, this.#error);
    else if (this.#writing) this.#operation.arm(this.timeoutMs);
    else this.#operation.finish(DONE);
  }

  writeFailed(error: Error): void {
    this.#writing = false;
    if (this.#discarded) return;
    this.#error ??= error;
    if (this.#isFlushing) this.#operation.finish(FAILED, this.#error);
  }
}

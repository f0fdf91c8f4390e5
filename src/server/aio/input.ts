/**
 * The reading side of an `Aio`: reads from the connection while an operation needs bytes, and ends the operation
 * when it has them.
 *
 * Nothing is read without an operation. A read can't be cancelled, so it may outlive its operation; the next
 * operation joins it.
 *
 * @module
 */
import type { AioHandle } from "./base.ts";
import type { AioBuffers } from "./buffers.ts";
import {
  type AioOperation,
  DONE,
  END_OF_FILE,
  FAILED,
  type ReadOperationName,
} from "./operation.ts";
import { AioReadCache } from "./read_cache.ts";
import type { AioReader, AioTransport } from "./transport.ts";

/** Not a result: the operation needs more input. */
const NOT_YET = -3;

/** The reading side of one connection. */
export class AioInput<Owner extends AioHandle> implements AioReader {
  /** The received bytes that were not taken yet. */
  readonly cache: AioReadCache;
  /** How long to wait for input, in milliseconds; below 0: for ever. */
  timeoutMs: number = -1;
  /** The byte that `gets` and `readDelimiter` end at. */
  delimiter: number = 0;

  readonly #transport: AioTransport;
  readonly #operation: AioOperation<Owner>;
  #want = 0;
  /** How many cached bytes were searched for the delimiter. */
  #searched = 0;
  #reading = false;
  #discarded = false;
  #ended = false;
  #error: Error | undefined = undefined;

  /**
   * Makes the reading side.
   *
   * @param transport Where bytes come from.
   * @param buffers Where memory is borrowed.
   * @param operation What wants the bytes.
   */
  constructor(transport: AioTransport, buffers: AioBuffers, operation: AioOperation<Owner>) {
    this.#transport = transport;
    this.#operation = operation;
    this.cache = new AioReadCache(buffers);
  }

  /** Whether a read is under way. */
  get isReading(): boolean {
    return this.#reading;
  }

  /**
   * Starts an operation.
   *
   * @param name Which.
   * @param want How many bytes it wants, or takes at most.
   * @param callback What to call when it is over.
   * @throws {RangeError} When `want` is not a whole number from 0.
   * @throws {Deno.errors.Busy} When an operation is pending.
   */
  start(name: ReadOperationName, want: number, callback: (owner: Owner) => void): void {
    if (!(Number.isSafeInteger(want) && want >= 0)) refuseLength(name, want);
    this.#operation.begin(name, callback);
    this.#want = want;
    this.#searched = 0;
    const result = this.#evaluate();
    if (result !== NOT_YET) {
      this.#operation.finishLater(result, result === FAILED ? this.#failure() : undefined);
    } else {
      if (!this.#reading) this.#read();
      this.#operation.arm(this.timeoutMs);
    }
  }

  /** Releases the memory; the result of a read under way is dropped. */
  discard(): void {
    this.#discarded = true;
    this.cache.discard();
  }

  /** The result of the pending operation for the present cache. */
  #evaluate(): number {
    const size = this.cache.size, want = this.#want;
    switch (this.#operation.name) {
      case "gets":
      case "readDelimiter": {
        if (want === 0) return END_OF_FILE;
        const before = this.cache.find(this.delimiter, this.#searched);
        if (before >= 0 && before < want) return before + 1;
        if (size >= want) return FAILED;
        this.#searched = size;
        break;
      }
      case "readn":
        if (size >= want) return want;
        break;
      case "read":
        if (size > 0 || want === 0) return Math.min(size, want);
        break;
      default: // "readable"
        if (size > 0 || this.#ended || this.#error !== undefined) return DONE;
    }
    if (this.#error !== undefined) return FAILED;
    return this.#ended ? END_OF_FILE : NOT_YET;
  }

  /** Why the pending operation failed. */
  #failure(): Error {
    return this.#error ?? new RangeError(
      `Cannot finish "${this.#operation.name}": no delimiter in ${this.#want} bytes, expected one`,
    );
  }

  #read(): void {
    this.#reading = true;
    this.cache.rest();
    this.#transport.read();
  }

  lendRoom(): Uint8Array<ArrayBuffer> {
    return this.cache.lend();
  }

  received(bytes: number): void {
    this.#reading = false;
    if (this.#discarded) return;
    this.cache.filled(bytes);
    this.#arrived();
  }

  receivedNothing(): void {
    if (!this.#discarded) this.cache.filled(0);
  }

  ended(): void {
    this.#ended = true;
    this.received(0);
  }

  readFailed(error: Error): void {
    this.#error = error;
    this.received(0);
  }

  #arrived(): void {
    const operation = this.#operation;
    if (!operation.isWaiting || operation.name === "cacheFlush" || operation.name === "sleep") {
      return; // It came too late for its own operation; it stays for the next one that reads.
    }
    const result = this.#evaluate();
    if (result !== NOT_YET) {
      operation.finish(result, result === FAILED ? this.#failure() : undefined);
    } else {
      this.#read();
      operation.arm(this.timeoutMs);
    }
  }
}

function refuseLength(name: ReadOperationName, length: number): never {
  throw new RangeError(`Cannot start "${name}": length ${length}, expected a whole number from 0`);
}

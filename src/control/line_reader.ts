/**
 * Splits received bytes into lines, and keeps a bounded part of an unfinished one.
 *
 * @module
 */

const LINE_END = 0x0a;
const DECODER = new TextDecoder("utf-8", { fatal: true });

/** Splits bytes into lines of bounded length. */
export class LineReader {
  readonly #maxBytes: number;
  #rest = new Uint8Array();

  /** @param maxBytes The most bytes of a line, its end included. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes received bytes.
   *
   * @param bytes The bytes; they are copied.
   * @returns The complete lines, without their ends.
   * @throws {TypeError} When a line is too long or is not UTF-8.
   */
  take(bytes: Uint8Array): string[] {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const lines: string[] = [];
    let start = 0;
    for (let end: number; (end = all.indexOf(LINE_END, start)) >= 0; start = end + 1) {
      this.#refuseLong(end + 1 - start);
      lines.push(decode(all.subarray(start, end)));
    }
    this.#rest = all.slice(start);
    this.#refuseLong(this.#rest.length);
    return lines;
  }

  #refuseLong(length: number): void {
    if (length <= this.#maxBytes) return;
    throw new TypeError(
      `Cannot read a line: found one of more than ${this.#maxBytes} bytes, expected less`,
    );
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return DECODER.decode(bytes);
  } catch {
    throw new TypeError("Cannot read a line: found bytes that are not UTF-8, expected JSON");
  }
}

/**
 * Splits the output of a process into lines.
 *
 * Pure: bytes in, lines out.
 *
 * @module
 */
import { isFurtherByte } from "../../log/lines.ts";

/** The longest line, in bytes; a longer one is passed on in pieces of this size. */
export const LINE_BYTES_MAX = 16_384;

const NEWLINE = 0x0a, RETURN = 0x0d;
const NOTHING = new Uint8Array();
/** The most further bytes of a character. */
const FURTHER_MAX = 3;

/** Joins the pieces that are read to lines. */
export class LineSplitter {
  /** The beginning of a line whose end has not come yet. */
  #kept: Uint8Array = NOTHING;
  readonly #onLine: (line: Uint8Array) => void;

  /** @param onLine Receives each line without its end; it is valid until this call returns. */
  constructor(onLine: (line: Uint8Array) => void) {
    this.#onLine = onLine;
  }

  /**
   * Takes what was read.
   *
   * @param data The bytes, borrowed.
   */
  take(data: Uint8Array): void {
    let start = 0;
    for (let end; (end = data.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      const rest = this.#passPieces(data.subarray(start, end));
      this.#kept = NOTHING;
      this.#onLine(rest.at(-1) === RETURN ? rest.subarray(0, -1) : rest);
    }
    // The buffer is the caller's.
    if (start < data.length) this.#kept = this.#passPieces(data.subarray(start)).slice();
  }

  /**
   * Takes what was read without passing on its lines.
   *
   * @param data The bytes, borrowed.
   * @returns How many lines have ended.
   */
  skip(data: Uint8Array): number {
    let count = 0;
    for (const byte of data) if (byte === NEWLINE) count++;
    if (count > 0) {
      this.#kept = data.slice(data.lastIndexOf(NEWLINE) + 1);
      return count;
    }
    // Of a line that is too long, only its last part is kept.
    this.#kept = joined(this.#kept, data).slice(-LINE_BYTES_MAX);
    return 0;
  }

  /** Passes on the last line if it had no end. */
  end(): void {
    const last = this.#kept;
    this.#kept = NOTHING;
    if (last.length > 0) this.#onLine(last);
  }

  /** Joins bytes to the kept ones, passes on the pieces of a line that is too long, and returns the rest. */
  #passPieces(data: Uint8Array): Uint8Array {
    let rest = this.#kept.length === 0 ? data : joined(this.#kept, data);
    while (rest.length > LINE_BYTES_MAX) {
      const end = pieceEnd(rest);
      this.#onLine(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
    return rest;
  }
}

/** Two arrays in one. */
export function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** Where the first piece of a long line ends: not within a character. */
function pieceEnd(line: Uint8Array): number {
  let end = LINE_BYTES_MAX;
  while (end > LINE_BYTES_MAX - FURTHER_MAX && isFurtherByte(line[end])) end--;
  // Text in another encoding has no such bounds.
  return isFurtherByte(line[end]) ? LINE_BYTES_MAX : end;
}

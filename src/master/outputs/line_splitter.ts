/**
 * Splits the output of a process into lines.
 *
 * Pure: bytes in, lines out.
 *
 * @module
 */

/** The longest line, in bytes; a longer one is passed on in pieces of this size. */
export const LINE_BYTES_MAX = 16_384;

const NEWLINE = 0x0a, RETURN = 0x0d;
/** The first byte of a UTF-8 character of several bytes, and a further one: 11xxxxxx and 10xxxxxx. */
const isFurther = (byte: number) => (byte & 0xc0) === 0x80;
/** The most further bytes of a character. */
const FURTHER_MAX = 3;

/** Joins the pieces that are read to lines. */
export class LineSplitter {
  /** The beginning of a line whose end has not come yet. */
  #kept = new Uint8Array();

  /**
   * Takes what was read.
   *
   * @param data The bytes, borrowed.
   * @returns The lines that are complete now, without their ends.
   */
  take(data: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end; (end = data.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      this.#add(data.subarray(start, end), lines);
      lines.push(withoutReturn(this.#kept));
      this.#kept = new Uint8Array();
    }
    this.#add(data.subarray(start), lines);
    return lines;
  }

  /** The last line, if it had no end. */
  end(): Uint8Array | undefined {
    const last = this.#kept;
    this.#kept = new Uint8Array();
    return last.length === 0 ? undefined : last;
  }

  /** Adds to the kept beginning, and passes on pieces of a line that is too long. */
  #add(data: Uint8Array, lines: Uint8Array[]): void {
    const joined = new Uint8Array(this.#kept.length + data.length);
    joined.set(this.#kept);
    joined.set(data, this.#kept.length);
    let rest = joined;
    while (rest.length > LINE_BYTES_MAX) {
      const end = pieceEnd(rest);
      lines.push(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
    this.#kept = rest;
  }
}

/** Where the first piece of a long line ends: not within a character. */
function pieceEnd(line: Uint8Array): number {
  let end = LINE_BYTES_MAX;
  while (end > LINE_BYTES_MAX - FURTHER_MAX && isFurther(line[end])) end--;
  // Text in another encoding has no such bounds.
  return isFurther(line[end]) ? LINE_BYTES_MAX : end;
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === RETURN ? line.subarray(0, -1) : line;
}

/**
 * The message behind DATA (RFC 5321, 4.5.2): its end is `CRLF . CRLF` and nothing else, and a dot at the
 * beginning of a line was doubled. A line feed alone becomes CRLF: so a message has no line that one
 * program takes for two, and another for one.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const CR = 13, LF = 10, DOT = 46;

/** A piece with fewer bytes than this grows by the next one: a client may send each byte by itself. */
const FEW_BYTES = 4_096;

type State = "line start" | "text" | "CR" | "dot" | "dot CR";

/** Reads one message in pieces. */
export class DataReader {
  /** The message so far; nothing any more once it is too large. */
  content: Uint8Array[] = [];
  /** The bytes of the message so far. */
  size = 0;
  /** Whether the end has come. */
  isDone = false;
  readonly #most: number;
  #state: State = "line start";

  /** @param most The most bytes that are kept. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether the message is larger than allowed; it is read to its end all the same. */
  get isTooLarge(): boolean {
    return this.size > this.#most;
  }

  /**
   * Takes the next bytes.
   *
   * @returns How many were used: all, unless the end of the message is in them.
   */
  feed(bytes: Uint8Array): number {
    // A line feed may become two bytes, and a withheld dot and CR may come before it.
    const out = new Uint8Array(2 * bytes.length + 2);
    let length = 0, used = 0;
    while (used < bytes.length && !this.isDone) {
      length = this.#step(bytes[used++], out, length);
    }
    this.#keep(out.subarray(0, length));
    return used;
  }

  #step(byte: number, out: Uint8Array, length: number): number {
    const state = this.#state;
    if (state === "line start" && byte === DOT) {
      this.#state = "dot";
      return length;
    }
    if (state === "dot" && byte === CR) {
      this.#state = "dot CR";
      return length;
    }
    if (state === "dot CR") {
      if (byte === LF) this.isDone = true;
      // The dot was one more, as any at the beginning of a line.
      else out[length++] = CR;
      if (this.isDone) return length;
    }
    if (byte === LF && state !== "CR") out[length++] = CR;
    out[length++] = byte;
    // Only a line that CRLF has ended can be followed by the end of the message.
    this.#state = byte === CR ? "CR" : byte === LF && state === "CR" ? "line start" : "text";
    return length;
  }

  #keep(piece: Uint8Array): void {
    this.size += piece.length;
    if (this.isTooLarge) this.content = [];
    else if (piece.length > 0) {
      const last = this.content.at(-1), grows = last !== undefined && last.length < FEW_BYTES;
      if (grows) this.content[this.content.length - 1] = Buffer.concat([last, piece]);
      else this.content.push(piece.slice());
    }
  }
}

/**
 * The input of an HTTP/1 connection: lines and request bodies.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { BadRequest } from "./head.ts";

/** The size of one read: in a head, and in a body. */
const HEAD_ROOM = 4 * 1024, BODY_ROOM = 64 * 1024;

/** The longest line between chunks, and the limit of all lines after the last chunk. */
const MOST_CHUNK_LINE = 4 * 1024, MOST_TRAILER_BYTES = 64 * 1024;

const LINE_FEED = 0x0a, CARRIAGE_RETURN = 0x0d;

const TRAILER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/;
const CHUNK_SIZE = /^[ \t]*([0-9A-Fa-f]+)[ \t]*(?:;[\x20-\x7e\x80-\xff]*)?$/;

/** The received bytes of a connection that were not used yet. */
export class Http1Input {
  readonly #conn: Pick<Deno.Conn, "read">;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array();
  /** The number of bytes that are known to hold no line feed. */
  #searched = 0;
  #filling?: Promise<boolean>;
  #hasEnded = false;
  /** The size of the next read. */
  #room = HEAD_ROOM;

  constructor(conn: Pick<Deno.Conn, "read">) {
    this.#conn = conn;
  }

  /** The number of available bytes. */
  get length(): number {
    return this.#bytes.length;
  }

  /** Whether the input has ended. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether a body is read, in larger pieces. */
  set isInBody(isInBody: boolean) {
    this.#room = isInBody ? BODY_ROOM : HEAD_ROOM;
  }

  /** Waits for more bytes; false when the connection has ended or failed. Calls may overlap. */
  fill(): Promise<boolean> {
    return this.#filling ??= this.#fill();
  }

  async #fill(): Promise<boolean> {
    try {
      if (this.#hasEnded) return false;
      const room = new Uint8Array(this.#room);
      const count = await this.#conn.read(room);
      if (count === null) this.#hasEnded = true;
      else this.#append(room.subarray(0, count));
    } catch {
      // Any error ends the input; a write reports the details.
      this.#hasEnded = true;
    } finally {
      this.#filling = undefined;
    }
    return !this.#hasEnded;
  }

  #append(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#bytes.length === 0) {
      this.#bytes = bytes;
      return;
    }
    const all = new Uint8Array(this.#bytes.length + bytes.length);
    all.set(this.#bytes);
    all.set(bytes, this.#bytes.length);
    this.#bytes = all;
  }

  /** Takes at most `most` of the available bytes. */
  take(most: number): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, most);
    this.#bytes = this.#bytes.subarray(taken.length);
    this.#searched = 0;
    return taken;
  }

  /** Takes a line with its end, each byte a character; undefined if no whole line is available. */
  takeLine(): string | undefined {
    const end = this.#bytes.indexOf(LINE_FEED, this.#searched);
    if (end < 0) {
      this.#searched = this.#bytes.length;
      return undefined;
    }
    return charactersOf(this.take(end + 1));
  }

  /** Returns available bytes without taking them, each byte a character. */
  peek(most: number): string {
    return charactersOf(this.#bytes.subarray(0, most));
  }

  /** Discards line ends. */
  skipEmptyLines(): void {
    let count = 0;
    while (this.#bytes[count] === LINE_FEED || this.#bytes[count] === CARRIAGE_RETURN) count++;
    if (count > 0) this.take(count);
  }
}

function charactersOf({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): string {
  return Buffer.from(buffer, byteOffset, length).toString("latin1");
}

/** The result of one step in a body: a piece, its end, or a need for more input. */
type Step = Uint8Array<ArrayBuffer> | "the end" | "more";

/** The body of one request. */
export class BodyInput {
  /** Called when all of it was taken. */
  onDone?: () => void;
  readonly #input: Http1Input;
  readonly #isChunked: boolean;
  /** The remaining length of the body, or of the chunk. */
  #left: number;
  /** The position between chunks, in a chunked body. */
  #place: "size" | "end of chunk" | "trailers" = "size";
  #trailerBytes = 0;
  #isDone = false;

  constructor(input: Http1Input, length: number | "chunks") {
    this.#input = input;
    this.#isChunked = length === "chunks";
    this.#left = length === "chunks" ? 0 : length;
    this.#isDone = length === 0;
    input.isInBody = !this.#isDone;
  }

  /** Whether all of it was taken. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /**
   * Waits for the next piece.
   *
   * @returns The piece; undefined at the end.
   * @throws {BadRequest} When it breaks the protocol.
   * @throws {Deno.errors.BadResource} When the client has disconnected before the end.
   */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    for (;;) {
      const step = this.#step();
      if (step instanceof Uint8Array) return step;
      if (step === "the end") return undefined;
      if (!await this.#input.fill()) {
        throw new Deno.errors.BadResource("Cannot read body as underlying resource unavailable");
      }
    }
  }

  /** Takes the whole body, if it is available and has a length. */
  takeWhole(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#isChunked || this.#isDone || this.#input.length < this.#left) return undefined;
    const step = this.#step();
    // A copy for the handler, since later input shares the memory.
    return (step as Uint8Array<ArrayBuffer>).slice();
  }

  /** The least number of bytes still to come. */
  get left(): number {
    return this.#left;
  }

  /** Discards the available part, and returns its length without the lines between chunks. */
  skip(): number {
    for (let count = 0;;) {
      const step = this.#step();
      if (!(step instanceof Uint8Array)) return count;
      count += step.length;
    }
  }

  #step(): Step {
    if (this.#isDone) return "the end";
    if (this.#left > 0) return this.#piece();
    for (;;) {
      const line = this.#input.takeLine();
      if (line === undefined) {
        const most = this.#place === "trailers" ? MOST_TRAILER_BYTES : MOST_CHUNK_LINE;
        if (this.#input.length > most) throw new BadRequest("too long a line in a body");
        return "more";
      }
      if (!line.endsWith("\r\n")) throw new BadRequest("a line feed alone in a body");
      if (this.#takeLine(line.slice(0, -2))) break;
    }
    return this.#isDone ? "the end" : this.#piece();
  }

  #piece(): Step {
    const piece = this.#input.take(this.#left);
    if (piece.length === 0) return "more";
    this.#left -= piece.length;
    if (this.#left === 0) {
      if (this.#isChunked) this.#place = "end of chunk";
      else this.#finish();
    }
    return piece;
  }

  /** Reads a line between chunks, and returns whether a chunk or the end follows it. */
  #takeLine(line: string): boolean {
    if (this.#place === "end of chunk") {
      if (line !== "") throw new BadRequest("more in a chunk than its size");
      this.#place = "size";
      return false;
    }
    if (this.#place === "trailers") {
      if (line === "") {
        this.#finish();
        return true;
      }
      this.#trailerBytes += line.length + 2;
      if (this.#trailerBytes > MOST_TRAILER_BYTES || !TRAILER.test(line)) {
        throw new BadRequest("no trailer field");
      }
      return false;
    }
    const [, digits] = CHUNK_SIZE.exec(line) ?? [];
    if (digits === undefined || line.length > MOST_CHUNK_LINE) throw new BadRequest("no size");
    this.#left = parseInt(digits, 16);
    if (!Number.isSafeInteger(this.#left)) throw new BadRequest("too large a chunk");
    if (this.#left === 0) this.#place = "trailers";
    return this.#left > 0;
  }

  #finish(): void {
    this.#isDone = true;
    this.#input.isInBody = false;
    this.onDone?.();
  }
}

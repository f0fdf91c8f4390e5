/**
 * Messages put together from the bytes and descriptors of a control socket, within the bounds of the
 * sender: what a peer can make this process keep is one unfinished frame.
 *
 * Pure: it closes no descriptor. The owner of the socket closes what {@linkcode FrameReader.takeFds}
 * gives back.
 *
 * @module
 */
import { MAX_FDS_PER_MESSAGE } from "../os/ffi/layout.ts";
import {
  decodeHeader,
  decodeMessage,
  DESCRIPTORS_FRAME,
  type Header,
  HEADER_BYTES,
  type Message,
  ProtocolError,
  type Sender,
} from "./protocol.ts";

/** A message with its descriptors. */
export interface Delivery {
  /** Undefined for a type that this version does not know, or that is not one of the sender's. */
  readonly message?: Message;
  /** The number of such a type, the first time that there is one: a peer must not fill a log. */
  readonly unknown?: number;
  /** Owned by the receiver. */
  readonly fds: number[];
}

const NOTHING = new Uint8Array();

/** Reads the frames of one sender. */
export class FrameReader {
  readonly #sender: Sender;
  /** The bytes from `#start` to `#end` have not been read. */
  #buffer = NOTHING;
  #start = 0;
  #end = 0;
  #fds: number[] = [];
  /** Descriptors of frames that belong to the next message. */
  #ahead: number[] = [];
  #hasToldUnknown = false;

  /** @param sender Who is at the other end. */
  constructor(sender: Sender) {
    this.#sender = sender;
  }

  /** Whether an end of file would come in the middle of a message. */
  get isCut(): boolean {
    return this.#end > this.#start || this.#ahead.length > 0;
  }

  /**
   * Takes what has come.
   *
   * @param bytes The bytes, copied.
   * @param fds The descriptors that came with them, owned by the reader from now on.
   */
  push(bytes: Uint8Array<ArrayBuffer>, fds: readonly number[] = []): void {
    this.#fds.push(...fds);
    const length = this.#end - this.#start + bytes.length;
    if (this.#end + bytes.length > this.#buffer.length) {
      // Twice as much as is needed, so that a long frame is not copied for each piece of it.
      const buffer = new Uint8Array(2 * length);
      buffer.set(this.#unread);
      this.#buffer = buffer;
      this.#start = 0;
      this.#end = length - bytes.length;
    }
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /**
   * The next message, taken out of what has come.
   *
   * @returns The message; undefined while it is not complete.
   * @throws {ProtocolError} When the next frame breaks the protocol, or the bounds of its sender.
   */
  next(): Delivery | undefined {
    while (this.#unread.length >= HEADER_BYTES) {
      const header = decodeHeader(this.#unread, this.#sender);
      const end = HEADER_BYTES + header.payloadLength;
      if (this.#unread.length < end) {
        this.#requireAtMost(header.fdCount);
        return undefined;
      }
      this.#takeFds(header);
      const payload = this.#unread.subarray(HEADER_BYTES, end);
      this.#start += end;
      if (header.typeNumber === DESCRIPTORS_FRAME) continue;
      const message = decodeMessage(header.typeNumber, payload, this.#sender);
      const fds = this.#ahead;
      this.#ahead = [];
      if (message !== undefined) return { message, fds };
      const isNews = !this.#hasToldUnknown;
      this.#hasToldUnknown = true;
      return isNews ? { unknown: header.typeNumber, fds } : { fds };
    }
    const isBetween = this.#start === this.#end;
    if (isBetween) {
      this.#buffer = NOTHING;
      this.#start = this.#end = 0;
    }
    // Descriptors come with the first byte of their frame, so others would go to a wrong one.
    this.#requireAtMost(isBetween ? 0 : MAX_FDS_PER_MESSAGE);
  }

  /** Takes all descriptors that belong to no message yet; they are the caller's then. */
  takeFds(): number[] {
    const fds = [...this.#ahead, ...this.#fds];
    this.#ahead = [];
    this.#fds = [];
    return fds;
  }

  get #unread(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  #requireAtMost(expected: number): void {
    const more = this.#fds.length - expected;
    if (more <= 0) return;
    throw new ProtocolError(`Cannot read a frame: ${more} descriptors more came than it names`);
  }

  #takeFds({ fdCount }: Header): void {
    if (this.#fds.length < fdCount) {
      throw new ProtocolError(
        `Cannot read a frame: ${this.#fds.length} descriptors came, expected ${fdCount}`,
      );
    }
    this.#ahead.push(...this.#fds.splice(0, fdCount));
    const { descriptors } = this.#sender;
    if (this.#ahead.length <= descriptors) return;
    throw new ProtocolError(
      `Cannot read a frame: ${this.#ahead.length} descriptors for one message, expected at most ${descriptors}`,
    );
  }
}

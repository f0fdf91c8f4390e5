/**
 * A parser of worker socket frames, within the limits of the sender: a peer can make this process keep one
 * unfinished frame at most.
 *
 * Pure: it closes no descriptor. The owner of the socket closes the result of
 * {@linkcode FrameReader.takeFds}.
 *
 * @module
 */
import { MAX_FDS_PER_MESSAGE } from "../os/ffi/layout.ts";
import type { Message } from "./messages.ts";
import {
  decodeHeader,
  decodeMessage,
  DESCRIPTORS_FRAME,
  type Header,
  HEADER_BYTES,
  ProtocolError,
  type Sender,
} from "./protocol.ts";

/** A message with its descriptors. */
export interface Delivery {
  /** Undefined for an unknown type, or one that the sender may not send. */
  readonly message?: Message;
  /** The number of such a type, for the first one only, so that a peer can't fill a log. */
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
  /** The descriptors of frames that belong to the next message. */
  #ahead: number[] = [];
  #hasToldUnknown = false;

  /** @param sender The role of the other end. */
  constructor(sender: Sender) {
    this.#sender = sender;
  }

  /** Whether an end of file would be in the middle of a message. */
  get isCut(): boolean {
    return this.#end > this.#start || this.#ahead.length > 0;
  }

  /**
   * Adds received data.
   *
   * @param bytes The bytes, copied.
   * @param fds Their descriptors, owned by the reader from now on.
   */
  push(bytes: Uint8Array<ArrayBuffer>, fds: readonly number[] = []): void {
    this.#fds.push(...fds);
    const length = this.#end - this.#start + bytes.length;
    if (this.#end + bytes.length > this.#buffer.length) {
      // Twice the required size, so that a long frame is not copied for each of its pieces.
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
   * Removes the next message from the received data.
   *
   * @returns The message; undefined while it is incomplete.
   * @throws {ProtocolError} When the next frame breaks the protocol, or the limits of its sender.
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
    // Descriptors arrive with the first byte of their frame; others would go to a wrong one.
    this.#requireAtMost(isBetween ? 0 : MAX_FDS_PER_MESSAGE);
  }

  /** Removes all descriptors that belong to no message yet; the caller owns them. */
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

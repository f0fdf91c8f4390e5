/**
 * One end of a control socket for a program that may not call the system itself: read and written
 * by way of node:net, which needs no permission for a descriptor that was inherited, and which can't
 * receive any over the socket.
 *
 * @module
 */
import { Socket } from "node:net";
import type { ChannelHandlers } from "./channel.ts";
import {
  decodeHeader,
  decodeMessage,
  DESCRIPTORS_FRAME,
  encodeFrame,
  HEADER_BYTES,
  type Message,
  ProtocolError,
} from "./protocol.ts";

/** A connected control socket over which no descriptors come. */
export class StreamChannel {
  readonly #socket: Socket;
  readonly #handlers: ChannelHandlers;
  #received = new Uint8Array();
  #open = true;

  /**
   * @param fd A connected unix stream socket, which the channel takes ownership of.
   * @param handlers Told of what comes; what they throw is an error of the program.
   */
  constructor(fd: number, handlers: ChannelHandlers) {
    this.#handlers = handlers;
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.on("data", (data: Uint8Array) => this.#receive(data));
    this.#socket.on("end", () => this.#endOfFile());
    // A reset, or a write to one that is gone: what it has said before is read, and so is its end.
    this.#socket.on("error", () => this.#endOfFile());
  }

  /**
   * Sends a message. On a closed channel nothing happens: its owner has been told, or has closed it.
   *
   * @param message What to say.
   */
  send(message: Message): void {
    if (this.#open) this.#socket.write(encodeFrame(message, 0));
  }

  /** Closes this end, as soon as what was sent is on its way. Harmless the second time. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.destroySoon();
  }

  #receive(data: Uint8Array): void {
    const whole = new Uint8Array(this.#received.length + data.length);
    whole.set(this.#received);
    whole.set(data, this.#received.length);
    this.#received = whole;
    try {
      // A handler may close the channel.
      while (this.#open && this.#deliverNext());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(error);
    }
  }

  /** Delivers the next message, and says whether there was a whole one. */
  #deliverNext(): boolean {
    if (this.#received.length < HEADER_BYTES) return false;
    const { typeNumber, payloadLength, fdCount } = decodeHeader(this.#received);
    const end = HEADER_BYTES + payloadLength;
    if (this.#received.length < end) return false;
    if (fdCount > 0 || typeNumber === DESCRIPTORS_FRAME) {
      throw new ProtocolError(
        `Cannot receive ${fdCount} descriptors: they come by SCM_RIGHTS, which needs --allow-ffi, ` +
          `expected to inherit them (server-protocol = inherit)`,
      );
    }
    const message = decodeMessage(typeNumber, this.#received.subarray(HEADER_BYTES, end));
    this.#received = this.#received.subarray(end);
    if (message === undefined) this.#handlers.onUnknown(typeNumber);
    else this.#handlers.onMessage(message, []);
    return true;
  }

  #endOfFile(): void {
    const problem = "Cannot read a message: end of file in the middle of it";
    this.#fail(this.#received.length > 0 ? new ProtocolError(problem) : undefined);
  }

  #fail(error?: Error): void {
    if (!this.#open) return;
    this.close();
    this.#handlers.onClose(error);
  }
}

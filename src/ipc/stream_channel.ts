/**
 * One end of a control socket for a program that may not call the system itself: read and written
 * by way of node:net, which needs no permission for a descriptor that was inherited, and which can't
 * receive any over the socket.
 *
 * @module
 */
import { Socket } from "node:net";
import type { ChannelHandlers } from "./channel.ts";
import { FrameReader } from "./frame_reader.ts";
import { encodeFrame, MASTER, type Message, ProtocolError, type Sender } from "./protocol.ts";

/** A master that can pass no descriptors. */
const MASTER_BY_INHERITANCE: Sender = {
  ...MASTER,
  descriptors: 0,
  insteadOfDescriptors: "to inherit them (server-protocol = inherit), since a server without " +
    "--allow-ffi receives none",
};

/** A connected control socket over which no descriptors come. */
export class StreamChannel {
  readonly #socket: Socket;
  readonly #handlers: ChannelHandlers;
  readonly #reader = new FrameReader(MASTER_BY_INHERITANCE);
  #open = true;

  /**
   * @param fd A connected unix stream socket, which the channel takes ownership of.
   * @param handlers Told of what comes; what they throw is an error of the program.
   */
  constructor(fd: number, handlers: ChannelHandlers) {
    this.#handlers = handlers;
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.on("data", (data: Uint8Array<ArrayBuffer>) => this.#receive(data));
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

  #receive(data: Uint8Array<ArrayBuffer>): void {
    this.#reader.push(data);
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
    const delivery = this.#reader.next();
    if (delivery === undefined) return false;
    const { message, unknown } = delivery;
    if (message !== undefined) this.#handlers.onMessage(message, []);
    else if (unknown !== undefined) this.#handlers.onUnknown(unknown);
    return true;
  }

  #endOfFile(): void {
    const problem = "Cannot read a message: end of file in the middle of it";
    this.#fail(this.#reader.isCut ? new ProtocolError(problem) : undefined);
  }

  #fail(error?: Error): void {
    if (!this.#open) return;
    this.close();
    this.#handlers.onClose(error);
  }
}

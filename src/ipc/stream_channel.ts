/**
 * One end of a worker socket by node:net, for a program that may not make system calls: node:net needs no
 * permission for an inherited descriptor, but can't receive descriptors.
 *
 * @module
 */
import { Socket } from "node:net";
import type { ChannelHandlers } from "./channel.ts";
import { FrameReader } from "./frame_reader.ts";
import type { Message } from "./messages.ts";
import { encodeFrame, MASTER, ProtocolError, type Sender } from "./protocol.ts";

/** The limits of a master that passes no descriptors. */
const MASTER_BY_INHERITANCE: Sender = {
  ...MASTER,
  descriptors: 0,
  insteadOfDescriptors: "to inherit them (server-protocol = inherit), since a server without " +
    "--allow-ffi receives none",
};

/** A connected worker socket without descriptor passing. */
export class StreamChannel {
  readonly #socket: Socket;
  readonly #handlers: ChannelHandlers;
  readonly #reader = new FrameReader(MASTER_BY_INHERITANCE);
  #open = true;

  /**
   * @param fd A connected unix stream socket, owned by the channel.
   * @param handlers The receiver of the events; their exceptions are errors of the program.
   */
  constructor(fd: number, handlers: ChannelHandlers) {
    this.#handlers = handlers;
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.on("data", (data: Uint8Array<ArrayBuffer>) => this.#receive(data));
    this.#socket.on("end", () => this.#endOfFile());
    // A reset, or a write to a closed socket: the received data was read, and so was its end.
    this.#socket.on("error", () => this.#endOfFile());
  }

  /** Sends a message. On a closed channel it does nothing. */
  send(message: Message): void {
    if (this.#open) this.#socket.write(encodeFrame(message, 0));
  }

  /** Closes this end once the sent messages are on their way. A second call does nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.destroySoon();
  }

  /** Does not keep the process running any more; this end is open until the process ends. */
  leave(): void {
    this.#socket.unref();
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

  /** Delivers the next message, and returns whether there was a whole one. */
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

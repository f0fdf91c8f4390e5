/**
 * One end of a worker socket: whole messages with their descriptors, in order.
 *
 * It does not interpret the messages. It delivers every message before the first broken frame, which ends
 * the channel, and closes descriptors that belong to no message.
 *
 * @module
 */
import { systemClock, type Timer } from "../os/clock/clock.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { SysError } from "../os/ffi/errors.ts";
import { type Received, receiveWithFds, sendWithFds } from "../os/net/fd_passing.ts";
import { MAX_FDS_PER_MESSAGE } from "../os/ffi/layout.ts";
import { EPOLLIN, EPOLLOUT, type Poller, type Watch } from "../os/fd/poller.ts";
import { type HeldDuplicate, holdDuplicate } from "../os/fd/shared_duplicates.ts";
import { shutdownSocket } from "../os/net/socket.ts";
import { type Delivery, FrameReader } from "./frame_reader.ts";
import type { Message } from "./messages.ts";
import { encodeFrame, ProtocolError, type Sender } from "./protocol.ts";

/** The events of a channel, always from the event loop, never from within a call. */
export interface ChannelHandlers {
  /**
   * A message has arrived.
   *
   * @param message The message.
   * @param fds Its descriptors, close-on-exec, owned by the handler from now on.
   */
  onMessage(message: Message, fds: number[]): void;
  /**
   * A message of an unknown type was ignored. Called for the first one only, so that a peer can't fill a log.
   *
   * @param typeNumber The type in its header.
   */
  onUnknown(typeNumber: number): void;
  /**
   * The other end is closed, has broken the protocol, or a message could not be sent. The channel is closed by
   * now. Called once, and not after {@linkcode Channel.close}.
   *
   * @param error The error; undefined for a clean end of file.
   */
  onClose(error?: Error): void;
}

/** A frame that the kernel has not accepted yet, or only in part. */
interface Pending {
  bytes: Uint8Array<ArrayBuffer>;
  /** Duplicates, since the caller may close its own descriptors. */
  held: HeldDuplicate[];
}

/** The delay before the next attempt while too many descriptors are in flight. */
const IN_FLIGHT_MS = 5;

/** The parts of a channel. */
export interface ChannelOptions {
  /** A connected unix stream socket, owned by the channel. */
  readonly fd: number;
  /** Watches the socket, and receives the exceptions of handlers. */
  readonly poller: Poller;
  /** The role of the other end, whose limits bound what is kept. */
  readonly sender: Sender;
}

/** The most reads of {@linkcode Channel.receiveRest}. */
const MOST_LAST_READS = 16;

/** The buffer of received bytes; one for all channels, since reads are synchronous. */
const ROOM = new Uint8Array(64 * 1024);

/** A connected worker socket. */
export class Channel {
  #fd: number;
  readonly #poller: Poller;
  readonly #watch: Watch;
  readonly #handlers: ChannelHandlers;
  readonly #unsent: Pending[] = [];
  #retry?: Timer;
  /** The error of a failed send; reported once all received messages are delivered. */
  #sendError: Error | undefined;
  readonly #reader: FrameReader;
  readonly #takesFds: boolean;

  /**
   * @param options The parts.
   * @param handlers The receiver of the events.
   * @throws {SysError} When the socket can't be watched; the caller then still owns it.
   */
  constructor({ fd, poller, sender }: ChannelOptions, handlers: ChannelHandlers) {
    this.#fd = fd;
    this.#poller = poller;
    this.#handlers = handlers;
    this.#reader = new FrameReader(sender);
    this.#takesFds = sender.descriptors > 0;
    this.#watch = poller.watch(fd, EPOLLIN, (events) => this.#onEvents(events));
  }

  /** Whether this end is open. */
  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** Whether messages wait for room in the socket. */
  get isFull(): boolean {
    return this.#unsent.length > 0;
  }

  /**
   * Sends a message, at once or as soon as the socket has room and few enough descriptors are in flight
   * (unix(7), ETOOMANYREFS). It does not throw: on failure the channel ends, which is reported later. On a
   * closed channel it does nothing.
   *
   * @param message The message.
   * @param fds Its descriptors, borrowed until this call returns.
   */
  send(message: Message, fds: readonly number[] = []): void {
    if (!this.isOpen) return;
    try {
      let rest = fds;
      for (; rest.length > MAX_FDS_PER_MESSAGE; rest = rest.slice(MAX_FDS_PER_MESSAGE)) {
        this.#sendOrKeep(
          encodeFrame(undefined, MAX_FDS_PER_MESSAGE),
          rest.slice(0, MAX_FDS_PER_MESSAGE),
        );
      }
      this.#sendOrKeep(encodeFrame(message, rest.length), rest);
    } catch (error) {
      this.#giveUpSending(error as Error);
    }
  }

  /** Closes this end and discards unsent messages. A second call does nothing. */
  close(): void {
    if (!this.isOpen) return;
    this.#watch.stop();
    closeFd(this.#fd);
    this.#fd = -1;
    this.#dropUnsent();
    this.#reader.takeFds().forEach(closeFd);
  }

  /** Receives no more, so that this end does not keep the process running; it is open until the process ends. */
  leave(): void {
    this.#watch.stop();
  }

  #sendOrKeep(bytes: Uint8Array<ArrayBuffer>, fds: readonly number[]): void {
    // The kernel accepts most frames whole at once, and these need no duplicates.
    const taken = this.#unsent.length === 0 ? this.#take(bytes, fds) : 0;
    if (taken === bytes.length) return;
    const frame: Pending = { bytes: bytes.subarray(taken), held: [] };
    // Queued first: if a duplicate can't be made, the earlier ones are released with the queue.
    this.#unsent.push(frame);
    if (taken === 0) { for (const fd of fds) frame.held.push(holdDuplicate(fd)); }
    else this.#watch.modify(EPOLLIN | EPOLLOUT);
  }

  /** Sends what the kernel accepts, and returns its length; after 0, the next attempt is scheduled. */
  #take(bytes: Uint8Array<ArrayBuffer>, fds: readonly number[]): number {
    try {
      const taken = sendWithFds(this.#fd, bytes, fds);
      if (taken === undefined) this.#watch.modify(EPOLLIN | EPOLLOUT);
      return taken ?? 0;
    } catch (error) {
      if (!(error instanceof SysError && error.code === "ETOOMANYREFS")) throw error;
      // The socket has room, so only time tells when the descriptors in flight were received.
      this.#watch.modify(EPOLLIN);
      this.#retry?.cancel();
      this.#retry = systemClock.setTimer(IN_FLIGHT_MS, () => this.#flush());
      return 0;
    }
  }

  #onEvents(events: number): void {
    if (events & EPOLLOUT) this.#flush();
    // An error or a hang-up is found by reading, after the remaining data.
    if (events & ~EPOLLOUT) this.#receive();
  }

  #flush(): void {
    try {
      while (this.#unsent.length > 0) {
        const frame = this.#unsent[0];
        const taken = this.#take(frame.bytes, frame.held.map(({ fd }) => fd));
        if (taken === 0) return;
        // Descriptors travel with the first byte.
        for (const held of frame.held) held.release();
        frame.held = [];
        frame.bytes = frame.bytes.subarray(taken);
        if (frame.bytes.length === 0) this.#unsent.shift();
      }
      this.#watch.modify(EPOLLIN);
    } catch (error) {
      this.#giveUpSending(error as Error);
    }
  }

  /** Ends sending. The data of the other end still has to be read; then the error is reported. */
  #giveUpSending(error: Error): void {
    this.#dropUnsent();
    this.#watch.modify(EPOLLIN);
    if (isPeerGone(error)) return;
    // The other end is open but has missed a message, so the channel ends for both.
    this.#sendError ??= error;
    shutdownSocket(this.#fd);
  }

  #dropUnsent(): void {
    this.#retry?.cancel();
    for (const { held } of this.#unsent) for (const one of held) one.release();
    this.#unsent.length = 0;
  }

  /** Delivers the remaining messages of a process that has ended. */
  receiveRest(): void {
    // Bounded, since a child process of the other end may go on writing.
    for (let reads = 0; reads < MOST_LAST_READS && this.isOpen; reads++) {
      if (!this.#receive()) return;
    }
  }

  /** Reads once, and returns whether there was any data. */
  #receive(): boolean {
    let received: Received | undefined;
    try {
      received = receiveWithFds(this.#fd, ROOM, { takesFds: this.#takesFds });
    } catch (error) {
      // A reset only means that the other end has closed with unread data.
      if (isPeerGone(error)) this.#endOfFile();
      else this.#fail(error as Error);
      return false;
    }
    if (received === undefined) return false;
    if (received.length === 0) {
      this.#endOfFile();
      return false;
    }
    this.#reader.push(ROOM.subarray(0, received.length), received.fds);
    let more = true;
    // A handler may close the channel.
    while (more && this.isOpen) more = this.#deliverNext();
    return true;
  }

  #endOfFile(): void {
    const problem = "Cannot read a message: end of file in the middle of it";
    this.#fail(this.#sendError ?? (this.#reader.isCut ? new ProtocolError(problem) : undefined));
  }

  /** Delivers the next message, and returns whether there was a whole one. */
  #deliverNext(): boolean {
    let delivery: Delivery | undefined;
    try {
      delivery = this.#reader.next();
    } catch (error) {
      this.#fail(error as Error);
    }
    if (delivery === undefined) return false;
    const { message, unknown, fds } = delivery;
    try {
      if (message !== undefined) this.#handlers.onMessage(message, fds);
      else {
        fds.forEach(closeFd);
        if (unknown !== undefined) this.#handlers.onUnknown(unknown);
      }
    } catch (error) {
      // No error of the channel: the next messages are delivered all the same.
      this.#poller.onError(error);
    }
    return true;
  }

  #fail(error?: Error): void {
    this.close();
    this.#handlers.onClose(error);
  }
}

/** Whether an error of sendmsg(2) or recvmsg(2) means that the other end is closed. */
function isPeerGone(error: unknown): boolean {
  return error instanceof SysError && (error.code === "EPIPE" || error.code === "ECONNRESET");
}

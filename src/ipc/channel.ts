/**
 * One end of a control socket: whole messages and their descriptors, in order.
 *
 * It does not know what the messages mean. Nothing is lost or left open: all that came before the
 * first broken frame is delivered, that frame ends the channel, and descriptors that belong to no
 * message are closed.
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
import { encodeFrame, type Message, ProtocolError, type Sender } from "./protocol.ts";

/** What a channel tells its owner, always from the event loop, never from within a call. */
export interface ChannelHandlers {
  /**
   * A message has come.
   *
   * @param message The message.
   * @param fds Its descriptors, close-on-exec, owned by the handler from now on.
   */
  onMessage(message: Message, fds: number[]): void;
  /**
   * A message of a type that this version does not know was ignored, for the first time: of later ones
   * nothing is told, so that a peer can't fill a log with them.
   *
   * @param typeNumber The type in its header.
   */
  onUnknown(typeNumber: number): void;
  /**
   * The other end is gone, or what it sent broke the protocol, or something could not be sent. The
   * channel is closed by now. Called once, and not after {@linkcode Channel.close}.
   *
   * @param error What was wrong; undefined for a clean end of file.
   */
  onClose(error?: Error): void;
}

/** A frame, or what is left of it, that the kernel has not taken yet. */
interface Pending {
  bytes: Uint8Array<ArrayBuffer>;
  /** Duplicates: the caller may close its own meanwhile. */
  held: HeldDuplicate[];
}

/** How long to wait for descriptors that are in flight before the next try. */
const IN_FLIGHT_MS = 5;

/** What a channel is made of. */
export interface ChannelOptions {
  /** A connected unix stream socket, which the channel takes ownership of. */
  readonly fd: number;
  /** Watches it, and takes what a handler throws. */
  readonly poller: Poller;
  /** Who is at the other end: nothing beyond its bounds is kept. */
  readonly sender: Sender;
}

/** How often {@linkcode Channel.receiveRest} reads at most. */
const MOST_LAST_READS = 16;

/** Received bytes land here first; one for all channels, since reads are synchronous. */
const ROOM = new Uint8Array(64 * 1024);

/** A connected control socket. */
export class Channel {
  #fd: number;
  readonly #poller: Poller;
  readonly #watch: Watch;
  readonly #handlers: ChannelHandlers;
  readonly #unsent: Pending[] = [];
  #retry?: Timer;
  /** Why nothing more can be sent; told once all that came has been delivered. */
  #sendError: Error | undefined;
  readonly #reader: FrameReader;
  readonly #takesFds: boolean;

  /**
   * @param options What it is made of.
   * @param handlers Told of what comes.
   * @throws {SysError} When the socket can't be watched; it is then still the caller's.
   */
  constructor({ fd, poller, sender }: ChannelOptions, handlers: ChannelHandlers) {
    this.#fd = fd;
    this.#poller = poller;
    this.#handlers = handlers;
    this.#reader = new FrameReader(sender);
    this.#takesFds = sender.descriptors > 0;
    this.#watch = poller.watch(fd, EPOLLIN, (events) => this.#onEvents(events));
  }

  /** Whether the channel is still open at this end. */
  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /**
   * Sends a message, at once if the socket has room, else as soon as it has, and as soon as other
   * processes have received enough of the descriptors that are on their way to them (unix(7),
   * ETOOMANYREFS). It does not throw: when
   * a message can't be sent, the channel ends and its owner is told later. On a closed channel
   * nothing happens: its owner has been told, or has closed it.
   *
   * @param message What to say.
   * @param fds Descriptors that go along, borrowed until this call returns.
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

  /** Closes this end; what has not been sent is dropped. Harmless the second time. */
  close(): void {
    if (!this.isOpen) return;
    this.#watch.stop();
    closeFd(this.#fd);
    this.#fd = -1;
    this.#dropUnsent();
    this.#reader.takeFds().forEach(closeFd);
  }

  #sendOrKeep(bytes: Uint8Array<ArrayBuffer>, fds: readonly number[]): void {
    // Most frames are taken whole at once, and need no duplicates.
    const taken = this.#unsent.length === 0 ? this.#take(bytes, fds) : 0;
    if (taken === bytes.length) return;
    const frame: Pending = { bytes: bytes.subarray(taken), held: [] };
    // Queued first: if a duplicate can't be made, those before it are let go with the queue.
    this.#unsent.push(frame);
    if (taken === 0) { for (const fd of fds) frame.held.push(holdDuplicate(fd)); }
    else this.#watch.modify(EPOLLIN | EPOLLOUT);
  }

  /** Sends what the kernel takes, and says how much that was; after 0, it is tried again when it may. */
  #take(bytes: Uint8Array<ArrayBuffer>, fds: readonly number[]): number {
    try {
      const taken = sendWithFds(this.#fd, bytes, fds);
      if (taken === undefined) this.#watch.modify(EPOLLIN | EPOLLOUT);
      return taken ?? 0;
    } catch (error) {
      if (!(error instanceof SysError && error.code === "ETOOMANYREFS")) throw error;
      // The socket has room, so nothing but time tells when others have received theirs.
      this.#watch.modify(EPOLLIN);
      this.#retry?.cancel();
      this.#retry = systemClock.setTimer(IN_FLIGHT_MS, () => this.#flush());
      return 0;
    }
  }

  #onEvents(events: number): void {
    if (events & EPOLLOUT) this.#flush();
    // An error or a hang-up shows when reading, after what is still to be read.
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

  /** What the other end has sent is still to be read: the reading side tells the owner then. */
  #giveUpSending(error: Error): void {
    this.#dropUnsent();
    this.#watch.modify(EPOLLIN);
    if (isPeerGone(error)) return;
    // The other end is there and has missed something, so this is the end for both.
    this.#sendError ??= error;
    shutdownSocket(this.#fd);
  }

  #dropUnsent(): void {
    this.#retry?.cancel();
    for (const { held } of this.#unsent) for (const one of held) one.release();
    this.#unsent.length = 0;
  }

  /**
   * Delivers what has come and was not read yet: the other end is known to be gone, and may have said
   * something just before.
   */
  receiveRest(): void {
    // Bounded, since a process that it has left behind may go on writing.
    for (let reads = 0; reads < MOST_LAST_READS && this.isOpen; reads++) {
      if (!this.#receive()) return;
    }
  }

  /** Reads once, and says whether there was anything. */
  #receive(): boolean {
    let received: Received | undefined;
    try {
      received = receiveWithFds(this.#fd, ROOM, { takesFds: this.#takesFds });
    } catch (error) {
      // A reset only says that the other end went without reading all.
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

  /** Delivers the next message, and says whether there was a whole one. */
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
      // Not an error of the channel: what comes next is delivered all the same.
      this.#poller.onError(error);
    }
    return true;
  }

  #fail(error?: Error): void {
    this.close();
    this.#handlers.onClose(error);
  }
}

/** Whether that is how sendmsg(2) and recvmsg(2) say that the other end has closed. */
function isPeerGone(error: unknown): boolean {
  return error instanceof SysError && (error.code === "EPIPE" || error.code === "ECONNRESET");
}

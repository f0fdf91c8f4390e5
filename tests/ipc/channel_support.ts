/**
 * What the tests of the channel share: one that writes down what it is told, connected to a plain
 * socket or to another one.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Channel, type ChannelHandlers } from "../../src/ipc/channel.ts";
import type { Message } from "../../src/ipc/messages.ts";
import { encodeFrame, type Sender } from "../../src/ipc/protocol.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { receiveWithFds, sendWithFds } from "../../src/os/net/fd_passing.ts";
import { Poller } from "../../src/os/fd/poller.ts";
import { socketPair } from "../../src/os/net/socket.ts";
import { turn } from "../support/polling.ts";
import { eventually } from "../support/wait.ts";

/** A descriptor to pass: one that is open anyway. Not that of a socket which the test closes. */
export const ANY_FD = 0;

/** One who may send everything, for tests of what concerns all senders. */
export const ANYBODY: Sender = {
  types: { first: 1, last: 255 },
  unknownBytes: 1 << 20,
  descriptors: 65_536,
};

/** What a channel told, in order. */
export type Told =
  | { readonly message: Message; readonly fds: number[] }
  | { readonly unknown: number }
  | { readonly closed: Error | undefined };

/** A channel under test. */
export class Recorder implements ChannelHandlers {
  /** All that it was told. */
  readonly told: Told[] = [];
  /** What handlers have thrown. */
  readonly errors: unknown[] = [];
  readonly poller: Poller = new Poller((error) => this.errors.push(error));
  readonly channel: Channel;
  /** Called after each is noted, with its place in {@linkcode told}. */
  onTold: (index: number) => void = () => {};

  /**
   * @param fd The socket, owned by the channel from now on.
   * @param sender Who is at the other end.
   */
  constructor(fd: number, sender = ANYBODY) {
    this.channel = new Channel({ fd, poller: this.poller, sender }, this);
  }

  onMessage(message: Message, fds: number[]): void {
    this.#note({ message, fds });
  }

  onUnknown(unknown: number): void {
    this.#note({ unknown });
  }

  onClose(closed?: Error): void {
    this.#note({ closed });
  }

  /** Waits until it was told so many things, and closes the descriptors among them. */
  async until(count: number): Promise<void> {
    await eventually(() => this.told.length >= count, { what: `${count} things to be told` });
    this.closeReceived();
    assertEquals(this.told.length, count);
  }

  /** The messages among what it was told. */
  get messages(): Message[] {
    return this.told.flatMap((told) => "message" in told ? [told.message] : []);
  }

  /** The descriptors of all messages. */
  get fds(): number[] {
    return this.told.flatMap((told) => "message" in told ? told.fds : []);
  }

  /** Closes the descriptors that messages brought. */
  closeReceived(): void {
    for (const told of this.told) {
      if ("message" in told) told.fds.splice(0).forEach(closeFd);
    }
  }

  #note(told: Told): void {
    this.onTold(this.told.push(told) - 1);
  }
}

/** A channel and the socket at its other end. */
export class Connection {
  readonly recorder: Recorder;
  /** The other end, owned by this; -1 once it is closed. */
  peer: number;

  /** @param sender Who is at that end. */
  constructor(sender = ANYBODY) {
    const [ours, theirs] = socketPair();
    this.recorder = new Recorder(ours, sender);
    this.peer = theirs;
  }

  /** Sends bytes from the other end, all at once. */
  write(bytes: Uint8Array<ArrayBuffer>, fds: readonly number[] = []): void {
    assertEquals(sendWithFds(this.peer, bytes, fds), bytes.length);
  }

  /** Waits until the channel has read what was written so far. */
  settle(): Promise<void> {
    return turn(this.recorder.poller);
  }

  /** Reads at the other end what is there; undefined at end of file. */
  read(): { length: number; fdCount: number } | undefined {
    let length = 0, fdCount = 0;
    const room = new Uint8Array(65_536);
    for (let next; (next = receiveWithFds(this.peer, room)) !== undefined;) {
      if (next.length === 0) return undefined;
      length += next.length;
      fdCount += next.fds.length;
      next.fds.forEach(closeFd);
    }
    return { length, fdCount };
  }

  /** Closes the other end. */
  closePeer(): void {
    if (this.peer >= 0) closeFd(this.peer);
    this.peer = -1;
  }

  /** Closes both ends. */
  close(): void {
    this.recorder.channel.close();
    this.recorder.closeReceived();
    this.closePeer();
  }
}

/** A message that can be told from others by a number. */
export function numbered(seconds: number): Message {
  return { type: "draining", pid: 1, generation: 1, seconds };
}

/** The frame of a message. */
export function frameOf(message: Message, fdCount = 0): Uint8Array<ArrayBuffer> {
  return encodeFrame(message, fdCount);
}

/** Some bytes, one after the other. */
export function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/**
 * What is left to do for clients when accept(2) finds no descriptor free: with one that was kept for
 * this, each is accepted and its connection closed in an orderly way, so that it knows.
 *
 * @module
 */
import { closeFd } from "../fd/descriptor.ts";
import { libc } from "../ffi/libc.ts";
import { acceptFd } from "./socket.ts";
import { isOutOfDescriptors, reserveDescriptor } from "../fd/reserve_fd.ts";

const MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;

/** How much of what a client has sent is read at most, in pieces of this size. */
const PIECE_BYTES = 64 * 1024, MOST_PIECES = 16;

/** How to turn clients away. */
export interface RejectPendingOptions {
  /** How many at most. */
  readonly most: number;
  /** Gets what the client has sent so far, and returns what to tell it, if anything. */
  readonly answer?: (sent: Uint8Array) => Uint8Array<ArrayBuffer> | undefined;
}

/**
 * Closes the connections that wait in the queue of a listener.
 *
 * @param fd The listening socket, non-blocking. Borrowed.
 * @param options How many, and with which words.
 * @returns How many it were.
 * @throws {SysError} When accept(2) fails for another reason than a lack of descriptors.
 */
export function rejectPending(fd: number, { most, answer }: RejectPendingOptions): number {
  return reserveDescriptor.lend(() => {
    const room = new Uint8Array(PIECE_BYTES);
    for (let count = 0; count < most; count++) {
      const peer = acceptWithSpare(fd);
      if (peer === undefined) return count;
      dismiss(peer, room, answer);
    }
    return most;
  });
}

/** Undefined when nobody waits, and when another thread has taken the descriptor meanwhile. */
function acceptWithSpare(fd: number): number | undefined {
  try {
    return acceptFd(fd);
  } catch (error) {
    if (isOutOfDescriptors(error)) return undefined;
    throw error;
  }
}

/**
 * Closes a connection so that the client finds an end of file: close(2) with something unread would
 * reset it, and what was sent before might never be read.
 */
function dismiss(
  peer: number,
  room: Uint8Array<ArrayBuffer>,
  answer: RejectPendingOptions["answer"],
): void {
  const length = receive(peer, room);
  const words = length > 0 ? answer?.(room.subarray(0, length)) : undefined;
  if (words !== undefined) {
    // As much as the kernel takes: the buffer of a new connection is empty.
    libc().send(peer, words, BigInt(words.length), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  libc().shutdown(peer, SHUT_WR);
  for (let pieces = 1; pieces < MOST_PIECES && receive(peer, room) > 0;) pieces++;
  closeFd(peer);
}

/** What has arrived; 0 or less when that is nothing, the end, or an error. */
function receive(peer: number, room: Uint8Array<ArrayBuffer>): number {
  return Number(libc().recv(peer, room, BigInt(room.length), MSG_DONTWAIT));
}

/**
 * Rejection of pending connections when accept(2) finds no descriptor free: each is accepted with the
 * reserve descriptor and closed in order, so that its client learns of it.
 *
 * @module
 */
import { MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR } from "../ffi/constants.ts";
import { closeFd } from "../fd/descriptor.ts";
import { libc } from "../ffi/libc.ts";
import { acceptFd } from "./socket.ts";
import { isOutOfDescriptors, reserveDescriptor } from "../fd/reserve_fd.ts";

/** The size of one read, and the most reads of a client's data. */
const PIECE_BYTES = 64 * 1024, MOST_PIECES = 16;

/** The options of a rejection. */
export interface RejectPendingOptions {
  /** The most connections to reject. */
  readonly most: number;
  /** Returns the response to the data that the client has sent so far, if any. */
  readonly answer?: (sent: Uint8Array) => Uint8Array<ArrayBuffer> | undefined;
}

/**
 * Closes the pending connections of a listener.
 *
 * @param fd The listening socket, non-blocking. Borrowed.
 * @param options The options.
 * @returns The number of rejected connections.
 * @throws {SysError} When accept(2) fails for another reason than a lack of descriptors.
 */
export function rejectPending(fd: number, { most, answer }: RejectPendingOptions): number {
  return reserveDescriptor.lend(() => {
    const room = new Uint8Array(PIECE_BYTES);
    for (let count = 0; count < most; count++) {
      const peer = acceptWithReserve(fd);
      if (peer === undefined) return count;
      closeInOrder(peer, room, answer);
    }
    return most;
  });
}

/** Undefined when no connection is pending, or another thread has taken the descriptor meanwhile. */
function acceptWithReserve(fd: number): number | undefined {
  try {
    return acceptFd(fd);
  } catch (error) {
    if (isOutOfDescriptors(error)) return undefined;
    throw error;
  }
}

/**
 * Closes a connection so that the client finds an end of file: close(2) with unread data would reset it, and
 * the client might never read the response.
 */
function closeInOrder(
  peer: number,
  room: Uint8Array<ArrayBuffer>,
  answer: RejectPendingOptions["answer"],
): void {
  const length = receive(peer, room);
  const words = length > 0 ? answer?.(room.subarray(0, length)) : undefined;
  if (words !== undefined) {
    // One write is enough: the buffer of a new connection is empty.
    libc().send(peer, words, BigInt(words.length), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  libc().shutdown(peer, SHUT_WR);
  for (let pieces = 1; pieces < MOST_PIECES && receive(peer, room) > 0;) pieces++;
  closeFd(peer);
}

/** Returns the length of the arrived data; 0 or less for none, the end, or an error. */
function receive(peer: number, room: Uint8Array<ArrayBuffer>): number {
  return Number(libc().recv(peer, room, BigInt(room.length), MSG_DONTWAIT));
}

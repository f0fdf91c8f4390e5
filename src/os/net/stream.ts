/**
 * Reads and writes of connected stream sockets that do not wait, for callers that make very many of them: there
 * is no error object for what happens all the time.
 *
 * @module
 */
import {
  AF_INET,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SHUT_WR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
} from "../ffi/constants.ts";
import { EAGAIN, EINTR, SysError } from "../ffi/errors.ts";
import { SOCKADDR_BYTES } from "../ffi/layout.ts";
import { errno, fastLibc, libc } from "../ffi/libc.ts";
import { decodeListenAddress, type ListenAddress } from "./socket.ts";

/** The result of a call that would have had to wait. Other results below 0 are negated errno values. */
export const NOT_NOW = -EAGAIN;

/**
 * Receives what has arrived (recv(2)).
 *
 * @param fd The socket. Borrowed.
 * @param room The buffer.
 * @returns The number of bytes, 0 at the end of the stream, {@linkcode NOT_NOW}, or a negated errno.
 */
export function receiveNow(fd: number, room: Uint8Array<ArrayBuffer>): number {
  const count = fastLibc().recv(fd, room, BigInt(room.length), MSG_DONTWAIT);
  return count >= 0 ? count : failure();
}

/**
 * Sends as much as the kernel takes (send(2)).
 *
 * @param fd The socket. Borrowed.
 * @param bytes The bytes.
 * @returns The number of sent bytes, {@linkcode NOT_NOW}, or a negated errno.
 */
export function sendNow(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const count = fastLibc().send(fd, bytes, BigInt(bytes.length), flags);
  return count >= 0 ? count : failure();
}

function failure(): number {
  const code = errno();
  return code === EINTR ? NOT_NOW : -code;
}

/** Ends the output of a connection; the peer reads an end of file after the sent data (shutdown(2)). */
export function endOutput(fd: number): void {
  // It fails where the peer has disconnected, which comes to the same.
  libc().shutdown(fd, SHUT_WR);
}

/**
 * Closes a connection, owned by this call, as the runtime does: the end of the output comes first, since the close
 * of a socket with unread data sends a reset, which may discard data that the peer has not read yet.
 *
 * @param fd The socket.
 * @param hasEnded Whether all was read, up to the end of the stream.
 */
export function closeStream(fd: number, hasEnded = false): void {
  if (!hasEnded) endOutput(fd);
  fastLibc().close(fd);
}

/** Accepts the connections of a listener, with their peers. */
export class StreamAcceptor {
  readonly #fd: number;
  readonly #address = new Uint8Array(new ArrayBuffer(SOCKADDR_BYTES));
  readonly #length = new Uint32Array(new ArrayBuffer(4));

  /** @param fd The listening socket, non-blocking. Borrowed. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Accepts the next connection (accept(2)).
   *
   * @returns The connection, non-blocking, close-on-exec and owned by the caller; undefined when none is pending.
   * @throws {SysError} When no descriptor is free, or the connection is gone already.
   */
  accept(): number | undefined {
    this.#length[0] = SOCKADDR_BYTES;
    const flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    const fd = fastLibc().accept4(this.#fd, this.#address, this.#length, flags);
    if (fd >= 0) return fd;
    const code = failure();
    if (code === NOT_NOW) return undefined;
    throw new SysError("accept4", -code, String(this.#fd));
  }

  /** The peer of the connection that was accepted last; undefined without an address. */
  get peer(): ListenAddress | undefined {
    const bytes = this.#address;
    if (bytes[0] === AF_INET && bytes[1] === 0) {
      const hostname = `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`;
      return { kind: "inet", hostname, port: bytes[2]! << 8 | bytes[3]! };
    }
    return decodeListenAddress(bytes.subarray(0, this.#length[0]));
  }
}

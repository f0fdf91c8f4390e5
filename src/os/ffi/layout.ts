/**
 * The C structures that cross the FFI boundary, as pure functions from and to bytes.
 *
 * All layouts are those of Linux on LP64 machines; little-endian is given, since x86-64 and the
 * arm64 that Deno is built for both are. This file calls nothing.
 *
 * @module
 */

import { AF_INET, AF_INET6, AF_UNIX, SOL_SOCKET } from "./constants.ts";
import { decodeBytes, encodeText } from "./byte_text.ts";

/** Room for any socket address: `sizeof(struct sockaddr_storage)`. */
export const SOCKADDR_BYTES = 128;

/** The longest path in a `sockaddr_un`, in bytes, without its closing NUL (unix(7)). */
export const UNIX_PATH_MAX = 107;

/**
 * A `struct sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)).
 *
 * @param address The address in network byte order: 4 or 16 bytes.
 * @param port The port, in host order.
 */
export function encodeInetAddress(address: Uint8Array, port: number): Uint8Array<ArrayBuffer> {
  const v6 = address.length === 16;
  const bytes = new Uint8Array(v6 ? 28 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, v6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port);
  bytes.set(address, v6 ? 8 : 4);
  return bytes;
}

/**
 * A `struct sockaddr_un` for a path (unix(7)).
 *
 * @param path The path; an abstract name begins with NUL.
 * @throws {RangeError} When it is longer than {@linkcode UNIX_PATH_MAX} bytes.
 */
export function encodeUnixAddress(path: string): Uint8Array<ArrayBuffer> {
  const name = encodeText(path);
  if (name.length > UNIX_PATH_MAX) {
    throw new RangeError(
      `Cannot use unix socket path "${path}": ${name.length} bytes, expected at most ${UNIX_PATH_MAX}`,
    );
  }
  const abstract = path.startsWith("\0");
  const bytes = new Uint8Array(2 + name.length + (abstract ? 0 : 1));
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(name, 2);
  return bytes;
}

/** A socket address as bytes, taken apart as far as no system call is needed. */
export type RawAddress =
  | { readonly family: "inet"; readonly address: Uint8Array<ArrayBuffer>; readonly port: number }
  | { readonly family: "unix"; readonly path: string }
  | { readonly family: "other"; readonly number: number };

/**
 * Reads what getsockname(2) filled in.
 *
 * @param bytes The structure, of the length that the call returned.
 */
export function decodeAddress(bytes: Uint8Array<ArrayBuffer>): RawAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = bytes.length < 2 ? 0 : view.getUint16(0, true);
  switch (family) {
    case AF_INET:
      return { family: "inet", address: bytes.slice(4, 8), port: view.getUint16(2) };
    case AF_INET6:
      return { family: "inet", address: bytes.slice(8, 24), port: view.getUint16(2) };
    case AF_UNIX: {
      const name = bytes.subarray(2);
      // An abstract name begins with NUL and keeps every byte; a path ends at its NUL.
      const end = name[0] === 0 ? -1 : name.indexOf(0);
      const path = decodeBytes(end < 0 ? name : name.subarray(0, end));
      return { family: "unix", path };
    }
    default:
      return { family: "other", number: family };
  }
}

const MSGHDR_BYTES = 56, IOVEC_BYTES = 16, CMSG_HEADER_BYTES = 16;
const SCM_RIGHTS = 1;

/** Most descriptors in one message: SCM_MAX_FD of the kernel (unix(7)). */
export const MAX_FDS_PER_MESSAGE = 253;

/** Control space for `count` descriptors: CMSG_SPACE(count × sizeof(int)). */
function controlSpace(count: number): number {
  return CMSG_HEADER_BYTES + Math.ceil((count * 4) / 8) * 8;
}

/**
 * A `struct msghdr` with one buffer and room for descriptors, to be used again and again.
 *
 * The structure holds raw addresses of its buffers, so those are kept as fields here: they live as
 * long as the message does.
 */
export class SocketMessage {
  /** The structure itself: what sendmsg(2) and recvmsg(2) take. */
  readonly header: Uint8Array<ArrayBuffer> = new Uint8Array(MSGHDR_BYTES);
  readonly #iovec = new BigUint64Array(IOVEC_BYTES / 8);
  readonly #control = new Uint8Array(controlSpace(MAX_FDS_PER_MESSAGE));
  readonly #headerView = new DataView(this.header.buffer);
  readonly #controlView = new DataView(this.#control.buffer);

  /** @param addressOf Gives the address of a buffer's first byte; the FFI's, injected to keep this file pure. */
  constructor(private readonly addressOf: (bytes: BufferSource) => bigint) {
    // msg_iov at 16, msg_iovlen at 24; msg_name stays null: these sockets are connected.
    this.#headerView.setBigUint64(16, addressOf(this.#iovec), true);
    this.#headerView.setBigUint64(24, 1n, true);
  }

  /**
   * Points the message at a buffer. The caller keeps `data` alive until the call has returned.
   *
   * @param data The bytes to send, or the room to receive into.
   * @param fds The descriptors to send; undefined to leave all the room for received ones.
   */
  prepare(data: Uint8Array<ArrayBuffer>, fds?: readonly number[]): void {
    this.#iovec[0] = this.addressOf(data);
    this.#iovec[1] = BigInt(data.byteLength);
    const space = fds === undefined ? this.#control.length : fds.length && controlSpace(fds.length);
    // msg_control at 32, msg_controllen at 40, msg_flags at 48.
    this.#headerView.setBigUint64(32, space === 0 ? 0n : this.addressOf(this.#control), true);
    this.#headerView.setBigUint64(40, BigInt(space), true);
    this.#headerView.setInt32(48, 0, true);
    if (fds === undefined || fds.length === 0) return;
    this.#controlView.setBigUint64(0, BigInt(CMSG_HEADER_BYTES + fds.length * 4), true);
    this.#controlView.setInt32(8, SOL_SOCKET, true);
    this.#controlView.setInt32(12, SCM_RIGHTS, true);
    fds.forEach((fd, index) => this.#controlView.setInt32(CMSG_HEADER_BYTES + index * 4, fd, true));
  }

  /** The flags that recvmsg(2) set. */
  get flags(): number {
    return this.#headerView.getInt32(48, true);
  }

  /** The descriptors that came with the last recvmsg(2), over all its control messages. */
  receivedFds(): number[] {
    const length = Number(this.#headerView.getBigUint64(40, true));
    const fds: number[] = [];
    for (let at = 0; at + CMSG_HEADER_BYTES <= length;) {
      const size = Number(this.#controlView.getBigUint64(at, true));
      if (size < CMSG_HEADER_BYTES) break;
      if (
        this.#controlView.getInt32(at + 8, true) === SOL_SOCKET &&
        this.#controlView.getInt32(at + 12, true) === SCM_RIGHTS
      ) {
        for (let fd = at + CMSG_HEADER_BYTES; fd + 4 <= Math.min(at + size, length); fd += 4) {
          fds.push(this.#controlView.getInt32(fd, true));
        }
      }
      at += Math.ceil(size / 8) * 8;
    }
    return fds;
  }
}

/** `sizeof(struct epoll_event)`: the kernel packs it on x86-64 only (epoll_ctl(2)). */
export const EPOLL_EVENT_BYTES: number = Deno.build.arch === "x86_64" ? 12 : 16;
const EPOLL_DATA_OFFSET = EPOLL_EVENT_BYTES - 8;
const EVENT_WORDS = EPOLL_EVENT_BYTES / 4, DATA_WORD = EPOLL_DATA_OFFSET / 4;

/**
 * A `struct epoll_event`.
 *
 * @param events The event mask.
 * @param data The caller's word, given back with each event.
 */
export function encodeEpollEvent(events: number, data: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(EPOLL_EVENT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, events, true);
  view.setBigUint64(EPOLL_DATA_OFFSET, data, true);
  return bytes;
}

/** Room for the events of one epoll_wait(2), each with the two halves of the caller's word. */
export class EpollEvents {
  /** What epoll_wait(2) fills. */
  readonly room: Uint32Array<ArrayBuffer>;

  /** @param count How many events fit. */
  constructor(count: number) {
    // Not a small typed array, which the garbage collector may move while another thread writes to it.
    this.room = new Uint32Array(new ArrayBuffer(EPOLL_EVENT_BYTES * count));
  }

  /** The event mask of an event. */
  mask(index: number): number {
    return this.room[index * EVENT_WORDS]!;
  }

  /** The lower half of its word. */
  low(index: number): number {
    return this.room[index * EVENT_WORDS + DATA_WORD]!;
  }

  /** The upper half. */
  high(index: number): number {
    return this.room[index * EVENT_WORDS + DATA_WORD + 1]!;
  }

  /** Fills in the first event, as for epoll_ctl(2). */
  set(mask: number, low: number, high: number): Uint32Array<ArrayBuffer> {
    this.room[0] = mask;
    this.room[DATA_WORD] = low;
    this.room[DATA_WORD + 1] = high;
    return this.room;
  }
}

/** One instruction of the kernel's classic packet filter: code, jumps if true and false, operand. */
export type FilterInstruction = readonly [code: number, jt: number, jf: number, k: number];

/**
 * An array of `struct sock_filter` (`linux/filter.h`).
 *
 * @param program The instructions.
 */
export function encodeFilter(program: readonly FilterInstruction[]): Uint8Array<ArrayBuffer> {
  // Its address goes into another structure, and the garbage collector may move a small typed array.
  const bytes = new Uint8Array(new ArrayBuffer(8 * program.length));
  const view = new DataView(bytes.buffer);
  for (const [index, [code, jt, jf, k]] of program.entries()) {
    view.setUint16(8 * index, code, true);
    bytes.set([jt, jf], 8 * index + 2);
    view.setUint32(8 * index + 4, k, true);
  }
  return bytes;
}

/**
 * A `struct sock_fprog`: what SO_ATTACH_FILTER takes (socket(7)).
 *
 * @param length How many instructions there are.
 * @param address Where the first one is.
 */
export function encodeFilterProgram(length: number, address: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, length, true);
  view.setBigUint64(8, address, true);
  return bytes;
}

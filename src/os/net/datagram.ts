/**
 * Non-blocking input and output for logs: unix datagram sockets in both roles, and the standard outputs
 * without changes of their shared flags (unix(7), pipe(7)).
 *
 * Every descriptor is close-on-exec, and owned by the caller of the function that returns it.
 *
 * @module
 */
import {
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  O_CLOEXEC,
  SHUT_WR,
  SOCK_CLOEXEC,
  SOL_SOCKET,
} from "../ffi/constants.ts";
import { EFBIG, EINVAL, SysError } from "../ffi/errors.ts";
import { closeFd, O_NONBLOCK, O_WRONLY, restoreWrites } from "../fd/descriptor.ts";
import { encodeUnixAddress } from "../ffi/layout.ts";
import { cString, libc, unwrap, unwrapOrBlock } from "../ffi/libc.ts";

const SOCK_DGRAM = 2;
const SO_SNDTIMEO = 21;
const O_NOCTTY = 0o400, SEEK_CUR = 1, POLLOUT = 0x4;

/** `sizeof(struct iovec)` and `sizeof(struct mmsghdr)`, and the offsets in the latter. */
const IOVEC_BYTES = 16, MMSGHDR_BYTES = 64;
const MSG_IOV_AT = 16, MSG_IOVLEN_AT = 24, MSG_LEN_AT = 56;

/** The limits of one call of {@linkcode DatagramSender.sendWaiting}. */
const BATCH_COUNT = 256, BATCH_BYTES = 262_144;
const SEND_WAIT_SECONDS = 1n;

/** A write of this size into a pipe with a free page neither blocks nor mixes with another one. */
const PIPE_BUF = 4_096;

/**
 * Sends datagrams to one receiver: at once while its queue has room, otherwise from a thread of the runtime
 * that waits for room.
 *
 * The kernel wakes the waiting threads one by one, each when there is room for it. With poll(2) in ten
 * processes, each free place would wake all of them, nine in vain.
 */
export class DatagramSender {
  readonly #fd: number;
  #batch?: Batch;
  #closed = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Connects to the socket that is bound to a path, and stays with it, even if another is bound there later.
   *
   * @param path The receiver's socket.
   * @returns The sender.
   * @throws {SysError} `ENOENT` or `ECONNREFUSED` without a receiver.
   * @throws {RangeError} When the path is too long.
   */
  static connect(path: string): DatagramSender {
    const address = encodeUnixAddress(path);
    // Blocking, for the thread; the calls that must not wait use a flag.
    return withDatagramSocket(0, (fd) => {
      unwrap(
        { syscall: "connect", subject: path },
        () => libc().connect(fd, address, address.length),
      );
      const timeout = new BigInt64Array([SEND_WAIT_SECONDS, 0n]);
      unwrap(
        { syscall: "setsockopt", subject: fd },
        () => libc().setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeout, timeout.byteLength),
      );
      return new DatagramSender(fd);
    });
  }

  /** The socket, for {@linkcode waitWritable}. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Sends one datagram without waiting. Must not be called during {@linkcode sendWaiting}, which it would
   * overtake.
   *
   * @param data The datagram.
   * @returns Its length, or undefined when the receiver's queue is full.
   * @throws {SysError} `ECONNREFUSED`, `ENOTCONN` or `EPIPE` when the receiver is gone.
   */
  send(data: Uint8Array<ArrayBuffer>): number | undefined {
    return unwrapOrBlock(
      { syscall: "send", subject: this.#fd },
      () => libc().send(this.#fd, data, BigInt(data.length), MSG_DONTWAIT | MSG_NOSIGNAL),
    );
  }

  /**
   * Sends datagrams in order from a thread that waits for room.
   *
   * @param datagrams At least one, none of them empty; copied up to the limits of one call.
   * @returns The number of sent ones: fewer when there was no room for a second, or when the receiver is
   * gone, which the next {@linkcode send} reports. Never rejects.
   * @throws {Error} When another call is under way.
   */
  sendWaiting(datagrams: readonly Uint8Array[]): Promise<number> {
    if (this.#batch !== undefined) {
      throw new Error("Cannot send from a thread: one is sending, expected one at a time");
    }
    return this.#send(this.#batch = new Batch(datagrams));
  }

  async #send({ headers, count }: Batch): Promise<number> {
    const sent = await libc().sendmmsg_on_thread(this.#fd, headers, count, MSG_NOSIGNAL);
    // Until here the field has kept the memory of the thread alive.
    this.#batch = undefined;
    // An earlier close would have let the thread send to another file with the same number.
    if (this.#closed) closeFd(this.#fd);
    return Math.max(sent, 0);
  }

  /**
   * Waits, blocking, for a {@linkcode sendWaiting} that is under way: for the end of a process.
   *
   * @param timeoutMs The time limit.
   * @returns The number of datagrams sent by then, and whether all were sent.
   */
  finish(timeoutMs: number): { readonly sent: number; readonly isOver: boolean } {
    const batch = this.#batch;
    if (batch === undefined) return { sent: 0, isOver: true };
    const end = performance.now() + timeoutMs;
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    let { sent } = batch;
    while (sent < batch.count && performance.now() < end) {
      Atomics.wait(sleeper, 0, 0, 1);
      sent = batch.sent;
    }
    return { sent, isOver: sent === batch.count };
  }

  /** Closes the socket once its thread has returned, which sends one more datagram at most. */
  close(): void {
    this.#closed = true;
    if (this.#batch === undefined) closeFd(this.#fd);
    else libc().shutdown(this.#fd, SHUT_WR);
  }
}

/**
 * Opens a standard output a second time, for non-blocking writes: O_NONBLOCK belongs to an open file
 * description, and the inherited one is shared with other processes.
 *
 * @param fd 1 or 2.
 * @returns The new descriptor; undefined where it is impossible or unnecessary: a plain file, whose position
 * would not be shared, a socket, and a pipe of another user.
 */
export function reopenOutput(fd: number): number | undefined {
  if (libc().lseek(fd, 0n, SEEK_CUR) >= 0n) return undefined;
  const path = cString(`/proc/self/fd/${fd}`);
  const opened = libc().open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  return opened < 0 ? undefined : opened;
}

/**
 * Writes as much as possible without waiting.
 *
 * @param fd Any descriptor; if it is blocking, a simultaneous write of another process to the same pipe can
 * still block this one.
 * @param data At least one byte.
 * @returns The number of bytes written, or undefined when there is no room.
 * @throws {SysError} `EPIPE` when the reader is gone, `ENOSPC` when the disk is full.
 */
export function writeWithoutWaiting(
  fd: number,
  data: Uint8Array<ArrayBuffer>,
): number | undefined {
  if (!waitWritable(fd, 0)) return undefined;
  const length = Math.min(data.length, PIPE_BUF);
  const write = () =>
    unwrapOrBlock(
      { syscall: "write", subject: fd },
      () => libc().write(fd, data, BigInt(length)),
    );
  try {
    return write();
  } catch (error) {
    // A server that shares the file may have set it to whole-block writes, or moved its position beyond the
    // largest file size.
    const isSpoilt = error instanceof SysError && [EINVAL, EFBIG].includes(error.errno);
    if (isSpoilt && restoreWrites(fd)) return write();
    throw error;
  }
}

/**
 * Waits, blocking, until a descriptor is writable or has an error (poll(2)): for the end of a process.
 *
 * @param fd The descriptor.
 * @param timeoutMs The time limit in whole milliseconds; 0 only tests.
 * @returns Whether it is ready.
 */
export function waitWritable(fd: number, timeoutMs: number): boolean {
  const pollfd = new Int32Array([fd, POLLOUT]);
  return unwrap({ syscall: "poll", subject: fd }, () => libc().poll(pollfd, 1n, timeoutMs)) > 0;
}

/** An array of `struct mmsghdr`, each with one buffer (recvmmsg(2), sendmmsg(2)). */
export class MessageVector {
  readonly headers: Uint8Array<ArrayBuffer>;
  // The kernel reads this by its raw address, so it must live as long as the headers.
  readonly #iovecs: BigUint64Array<ArrayBuffer>;
  readonly #view: DataView;

  constructor(readonly count: number) {
    this.headers = new Uint8Array(count * MMSGHDR_BYTES);
    this.#view = new DataView(this.headers.buffer);
    this.#iovecs = new BigUint64Array(count * IOVEC_BYTES / 8);
    const iovecs = addressOf(this.#iovecs);
    for (let index = 0; index < count; index++) {
      const at = index * MMSGHDR_BYTES;
      this.#view.setBigUint64(at + MSG_IOV_AT, iovecs + BigInt(index * IOVEC_BYTES), true);
      this.#view.setBigUint64(at + MSG_IOVLEN_AT, 1n, true);
    }
  }

  /** Sets the buffer of a message, which the caller keeps alive. */
  place(index: number, buffer: Uint8Array<ArrayBuffer>): void {
    this.#iovecs[index * 2] = addressOf(buffer);
    this.#iovecs[index * 2 + 1] = BigInt(buffer.length);
  }

  /** The number of bytes that the kernel received or sent. */
  lengthOf(index: number): number {
    return this.#view.getUint32(index * MMSGHDR_BYTES + MSG_LEN_AT, true);
  }
}

/** Datagrams that a thread sends, in memory that is not used otherwise meanwhile. */
class Batch {
  readonly #messages: MessageVector;
  readonly #data: Uint8Array<ArrayBuffer>;

  constructor(datagrams: readonly Uint8Array[]) {
    let count = 0, bytes = 0;
    while (count < Math.min(datagrams.length, BATCH_COUNT)) {
      if (count > 0 && bytes + datagrams[count].length > BATCH_BYTES) break;
      bytes += datagrams[count++].length;
    }
    this.#data = new Uint8Array(bytes);
    this.#messages = new MessageVector(count);
    let at = 0;
    for (let index = 0; index < count; index++) {
      const { length } = datagrams[index];
      this.#data.set(datagrams[index], at);
      this.#messages.place(index, this.#data.subarray(at, at + length));
      at += length;
    }
  }

  get headers(): Uint8Array<ArrayBuffer> {
    return this.#messages.headers;
  }

  get count(): number {
    return this.#messages.count;
  }

  /** The number of sent datagrams, by the lengths that the kernel has stored. */
  get sent(): number {
    let sent = 0;
    while (sent < this.count && this.#messages.lengthOf(sent) > 0) sent++;
    return sent;
  }
}

export function withDatagramSocket<T>(flags: number, use: (fd: number) => T): T {
  const fd = unwrap(
    { syscall: "socket" },
    () => libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0),
  );
  try {
    return use(fd);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

function addressOf(bytes: BufferSource): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)) as bigint;
}

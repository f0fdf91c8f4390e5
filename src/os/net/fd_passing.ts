/**
 * Passing of bytes and descriptors over a connected unix stream socket, by SCM_RIGHTS (unix(7)).
 *
 * All calls are non-blocking. Frames are handled in `src/ipc`.
 *
 * @module
 */
import { MSG_DONTWAIT, MSG_NOSIGNAL, SO_PASSRIGHTS, SOL_SOCKET } from "../ffi/constants.ts";
import { closeFd } from "../fd/descriptor.ts";
import { ENOPROTOOPT, SysError } from "../ffi/errors.ts";
import { SocketMessage } from "../ffi/layout.ts";
import { libc, unwrapOrBlock } from "../ffi/libc.ts";
import { setIntOption } from "./socket_options.ts";

const MSG_CTRUNC = 0x8, MSG_CMSG_CLOEXEC = 0x40000000;

let sharedMessage: SocketMessage | undefined;

/** One message structure for all calls, which are synchronous and never overlap. */
function message(): SocketMessage {
  return sharedMessage ??= new SocketMessage((bytes) =>
    Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)) as bigint
  );
}

/**
 * Sends bytes, and descriptors with the first of them.
 *
 * @param socket A connected unix stream socket.
 * @param data At least one byte.
 * @param fds Descriptors to pass, borrowed: the receiver gets duplicates. At most 253.
 * @returns The number of bytes sent (with the descriptors, if it is more than 0), or undefined when the
 * socket is full.
 * @throws {SysError} `EPIPE` or `ECONNRESET` when the other end is gone.
 */
export function sendWithFds(
  socket: number,
  data: Uint8Array<ArrayBuffer>,
  fds: readonly number[] = [],
): number | undefined {
  const msg = message();
  msg.prepare(data, fds);
  return unwrapOrBlock(
    { syscall: "sendmsg", subject: socket },
    () => libc().sendmsg(socket, msg.header, MSG_DONTWAIT | MSG_NOSIGNAL),
  );
}

/**
 * Sets whether other processes may send descriptors to a unix socket, or to the connections of a listener; else
 * they get `EPERM`. Without effect before Linux 6.16.
 *
 * A descriptor that nobody takes is closed by the process that reads or closes the socket, and its last close can
 * wait as long as its sender wants, such as that of a TCP connection with SO_LINGER.
 *
 * @throws {SysError} When it is no unix socket.
 */
export function setTakesDescriptors(fd: number, takes: boolean): void {
  try {
    setIntOption({ fd, level: SOL_SOCKET, name: SO_PASSRIGHTS }, takes ? 1 : 0);
  } catch (error) {
    if (!(error instanceof SysError && error.errno === ENOPROTOOPT)) throw error;
  }
}

/** The result of one call of {@linkcode receiveWithFds}. */
export interface Received {
  /** The number of bytes; 0 at end of file. */
  readonly length: number;
  /** The received descriptors, close-on-exec, owned by the caller. */
  readonly fds: readonly number[];
}

/**
 * Receives bytes and the descriptors that came with them.
 *
 * @param socket A connected unix stream socket.
 * @param room The buffer.
 * @param options `takesFds`: false if descriptors are not allowed; the kernel creates none then. Default
 * true.
 * @returns The result, or undefined when nothing has arrived yet.
 * @throws {RangeError} When descriptors came but are not allowed, or when the kernel has dropped some
 * (MSG_CTRUNC), as it does at the limit of open files. The received ones are closed.
 * @throws {SysError} When the socket is broken.
 */
export function receiveWithFds(
  socket: number,
  room: Uint8Array<ArrayBuffer>,
  { takesFds = true }: { readonly takesFds?: boolean } = {},
): Received | undefined {
  const msg = message();
  msg.prepare(room, takesFds ? undefined : []);
  const length = unwrapOrBlock(
    { syscall: "recvmsg", subject: socket },
    () => libc().recvmsg(socket, msg.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC),
  );
  if (length === undefined) return undefined;
  const fds = takesFds ? msg.receivedFds() : [];
  if (msg.flags & MSG_CTRUNC) {
    fds.forEach(closeFd);
    if (!takesFds) {
      throw new RangeError("Cannot receive a message: descriptors came with it, expected none");
    }
    throw new RangeError(
      `Cannot receive descriptors: the set was cut short after ${fds.length}, expected all of it (is the limit of open files reached?)`,
    );
  }
  return { length, fds };
}

/**
 * Bytes and descriptors over a connected unix stream socket, by SCM_RIGHTS (unix(7)).
 *
 * All calls are non-blocking. This file knows nothing of frames; see `src/ipc`.
 *
 * @module
 */
import { closeFd } from "../fd/descriptor.ts";
import { SocketMessage } from "../ffi/layout.ts";
import { libc, unwrapOrBlock } from "../ffi/libc.ts";

const MSG_CTRUNC = 0x8, MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000;

let sharedMessage: SocketMessage | undefined;

/** One message for all calls: they are synchronous, so that no two are ever under way. */
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
 * @returns How many bytes were taken (the descriptors went along if it is more than 0), or
 * undefined when the socket is full.
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

/** What one call of {@linkcode receiveWithFds} brought. */
export interface Received {
  /** How many bytes; 0 at end of file. */
  readonly length: number;
  /** Descriptors that came along, close-on-exec, owned by the caller. */
  readonly fds: readonly number[];
}

/**
 * Receives bytes and the descriptors that came with them.
 *
 * @param socket A connected unix stream socket.
 * @param room Where the bytes go.
 * @param options `takesFds`: false where none may come; the kernel makes none then. Default true.
 * @returns What came, or undefined when nothing is there yet.
 * @throws {RangeError} When descriptors came and none may; or when the kernel cut them short
 * (MSG_CTRUNC), as it does at the limit of open files. Those that did arrive are closed.
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

/**
 * Who is at the other end of a unix socket, by the word of the kernel.
 *
 * @module
 */
import { libc, unwrap } from "../ffi/libc.ts";

const SOL_SOCKET = 1, SO_PEERCRED = 17;
/** `struct ucred`: pid, uid, gid. */
const UCRED_WORDS = 3, UCRED_UID = 1;

/**
 * The user who has made the other end of a unix stream socket: with socketpair(2) whoever made the
 * pair, else whoever called connect(2) or listen(2) (unix(7), SO_PEERCRED).
 *
 * @param fd A connected unix socket. Borrowed.
 * @returns The user's number.
 * @throws {SysError} When it is no socket.
 */
export function peerUid(fd: number): number {
  const credentials = new Uint32Array(UCRED_WORDS);
  const length = new Uint32Array([credentials.byteLength]);
  unwrap(
    { syscall: "getsockopt", subject: fd },
    () =>
      libc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, new Uint8Array(credentials.buffer), length),
  );
  return credentials[UCRED_UID];
}

/** The user of this process; unlike the runtime's own call it wants no permission beside FFI. */
export function ownUid(): number {
  return libc().getuid();
}

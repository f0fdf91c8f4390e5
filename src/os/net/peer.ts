/**
 * The credentials of the peer of a unix socket, from the kernel.
 *
 * @module
 */
import { openDescriptors } from "../fd/descriptor.ts";
import { SOL_SOCKET } from "../ffi/constants.ts";
import { libc, unwrap } from "../ffi/libc.ts";

const SO_PEERCRED = 17;
/** `struct ucred`: pid, uid, gid. */
const UCRED_WORDS = 3, UCRED_UID = 1;

/**
 * The user id of the peer of a unix stream socket: for socketpair(2) the user that made the pair, otherwise
 * the user that called connect(2) or listen(2) (unix(7), SO_PEERCRED).
 *
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

const ROOT = 0;

/** A user who must not be obeyed. */
export interface Stranger {
  readonly uid: number;
  /** Who may be there instead, for a message. */
  readonly expected: string;
}

/**
 * The user at the other end of a unix socket, if that is neither root nor the user of this process.
 *
 * @param fd The socket. Borrowed.
 * @param admitted A further user who is no stranger.
 * @throws {SysError} When it is no socket.
 */
export function strangerAt(fd: number, admitted?: number): Stranger | undefined {
  const uid = peerUid(fd), own = ownUid();
  if (uid === ROOT || uid === own || uid === admitted) return undefined;
  const others = [own, admitted ?? ROOT].filter((one) => one !== ROOT).map((one) => `user ${one}`);
  return { uid, expected: ["root", ...new Set(others)].join(" or ") };
}

/** The user id of this process; unlike the runtime's own call it needs no permission but FFI. */
export function ownUid(): number {
  return libc().getuid();
}

/**
 * Connects to a unix socket by the runtime, which does not tell the descriptor, and finds who listens there.
 *
 * @param connect Connects.
 * @returns The connection, and the users at the other ends of all sockets that this process has opened meanwhile.
 */
export async function withPeers<T>(
  connect: () => Promise<T>,
): Promise<{ readonly connection: T; readonly uids: readonly number[] }> {
  const before = sockets(), connection = await connect();
  return { connection, uids: [...sockets().difference(before)].map(peerUid) };
}

/** The descriptors of this process that are sockets. */
function sockets(): Set<number> {
  const all = [...openDescriptors()].filter(([, target]) => target.startsWith("socket:"));
  return new Set(all.map(([fd]) => fd));
}

/**
 * The check of the credentials at the other end of an inherited worker socket.
 *
 * @module
 */
import { closeFd } from "../os/fd/descriptor.ts";
import { strangerAt } from "../os/net/peer.ts";
import { ProtocolError } from "./protocol.ts";

/**
 * Requires that the other end of a worker socket was made by this process's user, or by root, as which a
 * master starts the servers of other users.
 *
 * @param fd The socket. Borrowed, but closed if it is refused.
 * @throws {ProtocolError} When another user has made it.
 * @throws {SysError} When it is no socket.
 */
export function requireTrustedPeer(fd: number): void {
  const stranger = strangerAt(fd);
  if (stranger === undefined) return;
  closeFd(fd);
  const { uid, expected } = stranger;
  throw new ProtocolError(
    `Cannot obey descriptor ${fd}: its other end is user ${uid}'s, expected ${expected}`,
  );
}

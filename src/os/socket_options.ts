/**
 * Options of sockets that are one number (socket(7)).
 *
 * @module
 */
import { libc, unwrap } from "./libc.ts";

/** An option of a socket. */
export interface SocketOption {
  /** The socket. Borrowed. */
  readonly fd: number;
  /** Such as SOL_SOCKET. */
  readonly level: number;
  /** Such as SO_REUSEADDR. */
  readonly name: number;
}

/**
 * Sets an option.
 *
 * @param option Which one.
 * @param value Its value.
 * @throws {SysError} When the kernel refuses.
 */
export function setIntOption({ fd, level, name }: SocketOption, value = 1): void {
  const bytes = new Int32Array([value]);
  unwrap(
    { syscall: "setsockopt", subject: fd },
    () => libc().setsockopt(fd, level, name, bytes, bytes.byteLength),
  );
}

/**
 * Reads an option.
 *
 * @param option Which one.
 * @throws {SysError} When it is no socket, or the kernel does not know the option.
 */
export function getIntOption({ fd, level, name }: SocketOption): number {
  const value = new Int32Array(1);
  const length = new Uint32Array([value.byteLength]);
  unwrap(
    { syscall: "getsockopt", subject: fd },
    () => libc().getsockopt(fd, level, name, value, length),
  );
  return value[0];
}

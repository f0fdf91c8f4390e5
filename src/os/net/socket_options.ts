/**
 * Options of sockets (socket(7)), most of which are one number.
 *
 * @module
 */
import { libc, unwrap } from "../ffi/libc.ts";

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
export function setIntOption(option: SocketOption, value = 1): void {
  setBytesOption(option, new Uint8Array(new Int32Array([value]).buffer));
}

/**
 * Sets an option to the bytes of its value.
 *
 * @param option Which one.
 * @param bytes Its value, as the kernel has it.
 * @throws {SysError} When the kernel refuses.
 */
export function setBytesOption(
  { fd, level, name }: SocketOption,
  bytes: Uint8Array<ArrayBuffer>,
): void {
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

/**
 * Classic BPF programs on sockets: attach, test, remove.
 *
 * @module
 */
import { SOL_SOCKET } from "../ffi/constants.ts";
import { EACCES, ENOMEM, EPERM, SysError } from "../ffi/errors.ts";
import { encodeFilter, encodeFilterProgram, type FilterInstruction } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { setIntOption } from "./socket_options.ts";

const SO_GET_FILTER = 26, SO_DETACH_FILTER = 27;

/**
 * Attaches a program to a socket, in place of its present one.
 *
 * @param fd The socket. Borrowed.
 * @param program `option`: SO_ATTACH_FILTER or one of its kind (socket(7)). `instructions`: the program.
 * @returns Whether the kernel has accepted it; false without the privilege, with a locked filter, or at the
 * limit of memory for filters.
 * @throws {SysError} When it refuses for another reason.
 */
export function attachFilter(
  fd: number,
  { option, instructions }: {
    readonly option: number;
    readonly instructions: readonly FilterInstruction[];
  },
): boolean {
  const filter = encodeFilter(instructions);
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(filter));
  const program = encodeFilterProgram(instructions.length, address);
  try {
    unwrap(
      { syscall: "setsockopt", subject: fd },
      () => libc().setsockopt(fd, SOL_SOCKET, option, program, program.byteLength),
    );
    return true;
  } catch (error) {
    if (error instanceof SysError && [EPERM, ENOMEM].includes(error.errno)) return false;
    throw error;
  }
}

/**
 * Whether a socket has a filter, attached by any process.
 *
 * @throws {SysError} When it is no socket.
 */
export function hasFilter(fd: number): boolean {
  // Without a buffer the kernel returns only the number of instructions.
  const length = new Uint32Array(1);
  try {
    unwrap(
      { syscall: "getsockopt", subject: fd },
      () => libc().getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, null, length),
    );
  } catch (error) {
    // A filter that can't be read: an eBPF program.
    if (error instanceof SysError && error.errno === EACCES) return true;
    throw error;
  }
  return length[0] > 0;
}

/**
 * Removes the filter of a socket.
 *
 * @throws {SysError} `EPERM` when it is locked (socket(7), SO_LOCK_FILTER).
 */
export function removeFilter(fd: number): void {
  setIntOption({ fd, level: SOL_SOCKET, name: SO_DETACH_FILTER });
}

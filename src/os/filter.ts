/**
 * Programs of the kernel's classic packet filter on sockets.
 *
 * @module
 */
import { ENOMEM, EPERM, SysError } from "./errors.ts";
import { encodeFilter, encodeFilterProgram, type FilterInstruction } from "./layout.ts";
import { libc, unwrap } from "./libc.ts";

const SOL_SOCKET = 1;

/**
 * Attaches a program to a socket, in the place of the one that it has.
 *
 * @param fd The socket. Borrowed.
 * @param program `option`: SO_ATTACH_FILTER or one of its kind (socket(7)). `instructions`: the program.
 * @returns Whether the kernel has taken it; not so without the privilege, with a filter that is locked,
 * or at the limit of memory for filters.
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

/**
 * The session keyring of this process (session-keyring(7)): a process may use all keys in it, whatever its
 * user, and passes it on to the processes that it starts.
 *
 * @module
 */
import { ENOSYS, EPERM, SysError } from "../ffi/errors.ts";
import { libc, unwrap } from "../ffi/libc.ts";

const SYS_KEYCTL = Deno.build.arch === "aarch64" ? 219n : 250n;
const KEYCTL_JOIN_SESSION_KEYRING = 1n;

/**
 * Gives this thread, and the processes that it starts, a new session keyring without keys. Does nothing in a
 * process of another user than root: such a process starts no process of another user.
 *
 * @returns The error if there are no keyrings for this process and those that it starts, as in many containers;
 * else undefined.
 * @throws {SysError} When the kernel refuses for another reason.
 */
export function leaveSessionKeyring(): SysError | undefined {
  if (Deno.uid() !== 0) return undefined;
  try {
    unwrap(
      { syscall: "keyctl" },
      () => libc().syscall(SYS_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, null),
    );
  } catch (error) {
    if (error instanceof SysError && [ENOSYS, EPERM].includes(error.errno)) return error;
    throw error;
  }
}

/**
 * Starts a process with a session keyring that no other process has. The keyring before can't be joined
 * again, so this thread has another new one afterwards.
 *
 * @param start Starts the process, on this thread.
 * @returns The result of `start`.
 */
export function withNewSessionKeyring<T>(start: () => T): T {
  leaveSessionKeyring();
  try {
    return start();
  } finally {
    try {
      leaveSessionKeyring();
    } catch {
      // The process runs, and the next start reports it.
    }
  }
}

/**
 * A look at children that have ended and were not reaped yet, without reaping them (waitid(2), WNOWAIT).
 *
 * @module
 */
import type { ExitStatus } from "./child_process.ts";
import { ECHILD, SysError } from "../ffi/errors.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { SIGNALS } from "./signals.ts";

const P_ALL = 0, P_PID = 1;
const WNOHANG = 1, WEXITED = 4, WNOWAIT = 0x01000000;
const CLD_EXITED = 1;
/** The size of a siginfo_t, and the offsets of its fields, on x86-64 and arm64. */
const SIGINFO_BYTES = 128, SI_CODE = 8, SI_PID = 16, SI_STATUS = 24;

/** A child that has ended. */
export interface Zombie {
  readonly pid: number;
  readonly status: ExitStatus;
}

/**
 * Looks for a child that has ended.
 *
 * @param pid Only this one; default any child.
 * @returns The child; undefined if there is none, or it was reaped.
 * @throws {SysError} When the kernel refuses.
 */
export function findZombie(pid?: number): Zombie | undefined {
  const info = new Uint8Array(SIGINFO_BYTES);
  const which = pid === undefined ? P_ALL : P_PID;
  try {
    unwrap(
      { syscall: "waitid", subject: pid },
      () => libc().waitid(which, pid ?? 0, info, WNOHANG | WEXITED | WNOWAIT),
    );
  } catch (error) {
    if (error instanceof SysError && error.errno === ECHILD) return undefined;
    throw error;
  }
  const view = new DataView(info.buffer);
  const found = view.getInt32(SI_PID, true), status = view.getInt32(SI_STATUS, true);
  if (found === 0) return undefined;
  return {
    pid: found,
    status: view.getInt32(SI_CODE, true) === CLD_EXITED
      ? { code: status, signal: null }
      : { code: 128 + status, signal: SIGNALS[status] ?? `SIG${status}` },
  };
}

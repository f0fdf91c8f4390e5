/**
 * This process and its parent.
 *
 * @module
 */
import { libc, unwrap } from "../ffi/libc.ts";

const PR_SET_PDEATHSIG = 1;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGTERM: 15 } as const;

/** The signals that can be asked for. */
export type DeathSignal = keyof typeof SIGNAL_NUMBERS;

/**
 * Asks the kernel for a signal when the parent ends (PR_SET_PDEATHSIG in prctl(2)).
 *
 * A parent that ended before this call goes unnoticed: look at `Deno.ppid` afterwards, or rely on
 * end of file of a socket that the parent holds.
 *
 * @param signal Which one; LIB-ZC's servers ask for SIGHUP.
 * @throws {SysError} When the kernel refuses.
 */
export function requestParentDeathSignal(signal: DeathSignal): void {
  const number = BigInt(SIGNAL_NUMBERS[signal]);
  unwrap({ syscall: "prctl" }, () => libc().prctl(PR_SET_PDEATHSIG, number, 0n, 0n, 0n));
}

/**
 * Leaves the session and the process group that this process was started in (setsid(2)), so that what is
 * sent to all of them does not reach it. Nothing happens where it leads a group of its own.
 */
export function leaveSession(): void {
  libc().setsid();
}

/**
 * Kills the parent (SIGKILL), if it is still the one that is meant: the pid can't be another
 * process's as long as this one is its child.
 *
 * @param pid Its id.
 */
export function killParent(pid: number): void {
  if (Deno.ppid === pid) Deno.kill(pid, "SIGKILL");
}

/**
 * This process and its parent: death signal, session, kill.
 *
 * @module
 */
import { libc, unwrap } from "../ffi/libc.ts";

const PR_SET_PDEATHSIG = 1;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGTERM: 15 } as const;

/** The available signals. */
export type DeathSignal = keyof typeof SIGNAL_NUMBERS;

/**
 * Requests a signal at the end of the parent (PR_SET_PDEATHSIG in prctl(2)).
 *
 * The end of the parent before this call goes unnoticed: test `Deno.ppid` afterwards, or rely on the end
 * of file on a socket that the parent holds.
 *
 * @param signal The signal; LIB-ZC's servers use SIGHUP.
 * @throws {SysError} When the kernel refuses.
 */
export function requestParentDeathSignal(signal: DeathSignal): void {
  const number = BigInt(SIGNAL_NUMBERS[signal]);
  unwrap({ syscall: "prctl" }, () => libc().prctl(PR_SET_PDEATHSIG, number, 0n, 0n, 0n));
}

/**
 * Leaves the session and the process group of this process (setsid(2)), so that signals to the group do not
 * reach it. Does nothing in a group leader.
 */
export function leaveSession(): void {
  libc().setsid();
}

/** Kills the parent (SIGKILL) if it still has this pid, which can't be reused before this process ends. */
export function killParent(pid: number): void {
  if (Deno.ppid === pid) Deno.kill(pid, "SIGKILL");
}

/**
 * The duty of process 1, as in a container: processes whose parent has ended become its children, and
 * stay as zombies until it has asked for how they ended (waitid(2)).
 *
 * Whoever has started a process asks for its end itself, at once: the runtime, and this project's own
 * ways to start one. What is still a zombie some time later is an orphan, and only that is reaped
 * here; a wait for any child would steal the ends that others wait for.
 *
 * @module
 */
import type { ExitStatus } from "./child_process.ts";
import { type Clock, systemClock, type Timer } from "../clock/clock.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { processSignals, type Signals } from "./signals.ts";
import { findZombie } from "./waitid.ts";

const PR_SET_CHILD_SUBREAPER = 36, PR_GET_CHILD_SUBREAPER = 37;
const WNOHANG = 1;

/**
 * How long a zombie is left to whoever may have started it. The event loop goes round in it, and with
 * it everybody who waits for a process.
 */
const LEAVE_MS = 100;

/** Whether the orphans of others become children of this process. */
export function adoptsOrphans(): boolean {
  if (Deno.pid === 1) return true;
  const answer = new Int32Array(1);
  const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(answer)));
  unwrap({ syscall: "prctl" }, () => libc().prctl(PR_GET_CHILD_SUBREAPER, address, 0n, 0n, 0n));
  return answer[0] !== 0;
}

/**
 * Has the orphans of all processes below this one become its children from now on, to be reaped here.
 *
 * @throws {SysError} When the kernel refuses.
 */
export function adoptOrphans(): void {
  unwrap({ syscall: "prctl" }, () => libc().prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n));
}

/** What can be replaced in {@linkcode reapOrphans}. */
export interface OrphanOptions {
  readonly clock?: Clock;
  readonly signals?: Signals;
  /** Told of each that was reaped. */
  readonly onReaped?: (pid: number, status: ExitStatus) => void;
}

/**
 * Reaps orphans from now on; those included that are there already.
 *
 * @param options What can be replaced.
 * @returns Ends it.
 */
export function reapOrphans(
  { clock = systemClock, signals = processSignals, onReaped }: OrphanOptions = {},
): () => void {
  let suspect: number | undefined;
  let timer: Timer | undefined;
  const look = () => {
    timer = undefined;
    const zombie = findZombie(), pid = zombie?.pid;
    if (zombie !== undefined && pid === suspect) {
      reap(zombie.pid);
      onReaped?.(zombie.pid, zombie.status);
      suspect = findZombie()?.pid;
    } else suspect = pid;
    if (suspect !== undefined) wait();
  };
  const wait = () => timer ??= clock.setTimer(LEAVE_MS, look);
  const release = signals.on("SIGCHLD", wait);
  wait();
  return () => {
    release();
    timer?.cancel();
  };
}

function reap(pid: number): void {
  libc().waitpid(pid, new Int32Array(1), WNOHANG);
}

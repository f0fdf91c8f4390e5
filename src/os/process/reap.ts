/**
 * The duty of process 1, for example in a container: orphans become its children, and stay zombies until
 * it waits for them (waitid(2)).
 *
 * Every starter of a process reaps its own children at once: the runtime, and this project's spawners. A
 * process that is still a zombie some time later is an orphan, and only those are reaped here; a wait for
 * any child would steal exit statuses from the other waits.
 *
 * @module
 */
import type { ExitStatus } from "./child_process.ts";
import { type Clock, systemClock, type Timer } from "../clock/clock.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { readProc } from "./processes.ts";
import { processSignals, type Signals } from "./signals.ts";
import { findZombie, type Zombie } from "./waitid.ts";

const PR_SET_CHILD_SUBREAPER = 36, PR_GET_CHILD_SUBREAPER = 37;
const WNOHANG = 1;

/** The time for a possible parent to reap a zombie, with at least one turn of the event loop. */
const LEAVE_MS = 100;

/** Whether orphans become children of this process. */
export function adoptsOrphans(): boolean {
  if (Deno.pid === 1) return true;
  const answer = new Int32Array(1);
  const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(answer)));
  unwrap({ syscall: "prctl" }, () => libc().prctl(PR_GET_CHILD_SUBREAPER, address, 0n, 0n, 0n));
  return answer[0] !== 0;
}

/**
 * Makes the orphans of all descendants children of this process from now on, to be reaped here.
 *
 * @throws {SysError} When the kernel refuses.
 */
export function adoptOrphans(): void {
  unwrap({ syscall: "prctl" }, () => libc().prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n));
}

/** The replaceable parts of {@linkcode reapOrphans}. */
export interface OrphanOptions {
  readonly clock?: Clock;
  readonly signals?: Signals;
  /** Called for each reaped process. */
  readonly onReaped?: (pid: number, status: ExitStatus) => void;
}

/**
 * Reaps orphans from now on, existing ones included.
 *
 * @param options The replaceable parts.
 * @returns Ends it.
 */
export function reapOrphans(
  { clock = systemClock, signals = processSignals, onReaped }: OrphanOptions = {},
): () => void {
  /** The pids of the last look. */
  let before: ReadonlySet<number> = new Set();
  let timer: Timer | undefined;
  const look = () => {
    timer = undefined;
    const found = findZombies();
    for (const { pid, status } of found) {
      if (!before.has(pid)) continue;
      reap(pid);
      onReaped?.(pid, status);
    }
    before = new Set(found.map(({ pid }) => pid).filter((pid) => !before.has(pid)));
    if (before.size > 0) wait();
  };
  const wait = () => timer ??= clock.setTimer(LEAVE_MS, look);
  const release = signals.on("SIGCHLD", wait);
  wait();
  return () => {
    release();
    timer?.cancel();
  };
}

/** All zombies among the children; with a kernel that does not list those, the first one. */
function findZombies(): Zombie[] {
  const first = findZombie();
  if (first === undefined) return [];
  const children = readProc(`self/task/${Deno.pid}/children`).split(" ").filter((pid) =>
    pid !== ""
  );
  if (children.length === 0) return [first];
  return children.map((pid) => findZombie(Number(pid))).filter((zombie) => zombie !== undefined);
}

function reap(pid: number): void {
  libc().waitpid(pid, new Int32Array(1), WNOHANG);
}

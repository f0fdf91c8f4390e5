/**
 * What a master stays for after another one has taken its place, and its own servers have finished:
 * whoever has started it may take its end for the end of everything, as the init of a container does.
 * It passes on signals, and in the end the exit code.
 *
 * @module
 */
import { type ExitStatus, UNKNOWN_EXIT } from "../../os/process/child_process.ts";
import { systemClock } from "../../os/clock/clock.ts";
import type { PidFile } from "../../os/process/lock_file.ts";
import {
  argumentsOf,
  childrenOf,
  groupOf,
  isDescendant,
  programOf,
  signalProcess,
} from "../../os/process/processes.ts";
import { UPGRADE_ARGUMENT } from "./command.ts";

/** How often it looks after a master of whose end it may not be told. */
const LOOK_MS = 1_000;

/** The one starter that can be told that another process is the main one (`MAINPID=`). */
const SYSTEMD = "systemd";

/** The process that has started this one. */
export class Starter {
  readonly #pid = Deno.ppid;

  /**
   * Whether the end of this process may mean something to it; not so once it is gone itself.
   *
   * @param isTold Whether a service manager is told which process is the main one.
   */
  waits(isTold: boolean): boolean {
    if (Deno.ppid !== this.#pid || isAdopted()) return false;
    return !(isTold && programOf(this.#pid) === SYSTEMD);
  }
}

/**
 * Whether the parent is another one than the starter, which may have been gone before this process could
 * look: a starter has its child in its own process group, or makes it the leader of one.
 */
function isAdopted(): boolean {
  const own = groupOf(Deno.pid), parents = groupOf(Deno.ppid);
  // One outside of this process's namespace is the one that has entered it.
  return own !== undefined && parents !== undefined && own !== Deno.pid && own !== parents;
}

/** The parent of all masters after it: each becomes its child when the one that has started it ends. */
export class StandingParent {
  readonly #lock: PidFile;
  /** The last master that is known. */
  #pid: number;
  readonly #ends = new Map<number, (status: ExitStatus) => void>();

  /**
   * @param pid The master that has taken over; a child of this process.
   * @param lock The pid file, which tells of those after it.
   */
  constructor(pid: number, lock: PidFile) {
    this.#pid = pid;
    this.#lock = lock;
  }

  /** The master that has the duty now. */
  get pid(): number {
    const found = this.#lock.readPid();
    // Once a stop has given the lock up, it may be that of a master which somebody else has started.
    if (found !== undefined && isDescendant(found, Deno.pid)) this.#pid = found;
    return this.#pid;
  }

  /** Whether a master after the first one has become its child. */
  get hasAdopted(): boolean {
    return this.#adopted() !== undefined;
  }

  /**
   * Passes a signal on.
   *
   * @param signal Which one.
   */
  passOn(signal: Deno.Signal): void {
    signalProcess(this.pid, signal);
  }

  /**
   * Takes note of the end of a process that this one has adopted.
   *
   * @param pid Which one.
   * @param status How it has ended.
   */
  reaped(pid: number, status: ExitStatus): void {
    this.#ends.get(pid)?.(status);
  }

  /**
   * Waits for the end of the last master.
   *
   * @param first The end of the one that has taken over.
   * @returns How the last one has ended.
   */
  async ended(first: Promise<ExitStatus>): Promise<ExitStatus> {
    let status = await first;
    for (let next: number | undefined; (next = this.#adopted()) !== undefined;) {
      status = await this.#endOf(next);
    }
    return status;
  }

  /** A master after the first one that is a child of this process by now. */
  #adopted(): number | undefined {
    const { pid: last } = this;
    // One that has just ended has no arguments any more.
    return childrenOf(Deno.pid)
      .find((pid) => pid === last || argumentsOf(pid).includes(UPGRADE_ARGUMENT));
  }

  async #endOf(pid: number): Promise<ExitStatus> {
    const told = Promise.withResolvers<ExitStatus>();
    this.#ends.set(pid, told.resolve);
    try {
      for (;;) {
        const pause = Promise.withResolvers<undefined>();
        const timer = systemClock.setTimer(LOOK_MS, () => pause.resolve(undefined));
        const status = await Promise.race([told.promise, pause.promise]);
        timer.cancel();
        if (status !== undefined) return status;
        if (programOf(pid) === undefined) return UNKNOWN_EXIT;
      }
    } finally {
      this.#ends.delete(pid);
    }
  }
}

/**
 * An old master that stays as the parent of the new master after its own servers have ended, since
 * its starter may take its end for the end of everything, as a container's init does. It passes
 * signals on, and returns the last master's exit code.
 *
 * @module
 */
import { type ExitStatus, UNKNOWN_EXIT } from "../../os/process/child_process.ts";
import { within } from "../../os/clock/clock.ts";
import type { PidFile } from "../../os/process/lock_file.ts";
import {
  argumentsOf,
  childrenOf,
  groupOf,
  isDescendant,
  programOf,
  signalProcess,
  userOf,
} from "../../os/process/processes.ts";
import { UPGRADE_ARGUMENT } from "./command.ts";

/** How often it checks a master whose end may not be reported to it. */
const LOOK_MS = 1_000;

/** The only starter that can be told another main process (`MAINPID=`). */
const SYSTEMD = "systemd";

/** The variable in which systemd writes the id of the process that it starts. */
const EXEC_PID = "SYSTEMD_EXEC_PID";

/** The process that has started this one. */
export class Starter {
  readonly #pid = Deno.ppid;
  /** A unit with ProtectProc= or another user namespace can't look at systemd. */
  readonly #isSystemd = Deno.env.get(EXEC_PID) === String(Deno.pid);

  /**
   * Whether the starter still runs and may react to the end of this process.
   *
   * @param isTold Whether a service manager is told the main process.
   */
  waits(isTold: boolean): boolean {
    if (Deno.ppid !== this.#pid || isAdopted()) return false;
    return !(isTold && (this.#isSystemd || programOf(this.#pid) === SYSTEMD));
  }
}

/**
 * Whether the parent is not the starter, which may have ended before this process could look: a
 * starter puts its child into its own process group, or makes it a group leader.
 */
function isAdopted(): boolean {
  const own = groupOf(Deno.pid), parents = groupOf(Deno.ppid);
  // A parent outside of this process's namespace has entered the namespace.
  return own !== undefined && parents !== undefined && own !== Deno.pid && own !== parents;
}

/** The parent of all later masters: each becomes its child when the master that started it ends. */
export class StandingParent {
  readonly #lock: PidFile;
  /** The last known master. */
  #pid: number;
  readonly #ends = new Map<number, (status: ExitStatus) => void>();

  /**
   * @param pid The master that has taken over; a child of this process.
   * @param lock The pid file, which names the later masters.
   */
  constructor(pid: number, lock: PidFile) {
    this.#pid = pid;
    this.#lock = lock;
  }

  /** The current master. */
  get pid(): number {
    const found = this.#lock.readPid();
    // After a stop, the pid file may name a master that was started independently.
    if (found !== undefined && isLater(found)) this.#pid = found;
    return this.#pid;
  }

  /** Whether a later master has become its child. */
  get hasAdopted(): boolean {
    return this.#adopted().length > 0;
  }

  /** Passes a signal on to the current master; when it has ended, to one whose servers still drain. */
  passOn(signal: Deno.Signal): void {
    const { pid } = this;
    // Any other process may have the pid of a master that has ended, and one that has waits for its parent at first.
    const receiver = isLater(pid) && runs(pid) ? pid : this.#adopted().find(runs);
    if (receiver !== undefined) signalProcess(receiver, signal);
  }

  /**
   * Records the exit of an adopted process.
   *
   * @param pid The process.
   * @param status Its exit status.
   */
  reaped(pid: number, status: ExitStatus): void {
    this.#ends.get(pid)?.(status);
  }

  /**
   * Waits for the end of the last master.
   *
   * @param first The end of the master that has taken over.
   * @returns The exit status of the last master.
   */
  async ended(first: Promise<ExitStatus>): Promise<ExitStatus> {
    let status = await first;
    for (;;) {
      const [next] = this.#adopted();
      if (next === undefined) return status;
      status = await this.#endOf(next);
    }
  }

  /** The later masters that are children of this process now. */
  #adopted(): number[] {
    const { pid: last } = this;
    // An ended process has no arguments any more, and every process can have any.
    return childrenOf(Deno.pid).filter(isOwn)
      .filter((pid) => pid === last || argumentsOf(pid).includes(UPGRADE_ARGUMENT));
  }

  async #endOf(pid: number): Promise<ExitStatus> {
    const told = Promise.withResolvers<ExitStatus>();
    this.#ends.set(pid, told.resolve);
    try {
      for (;;) {
        const status = await within(told.promise, { ms: LOOK_MS, late: () => undefined });
        if (status !== undefined) return status;
        if (programOf(pid) === undefined) return UNKNOWN_EXIT;
      }
    } finally {
      this.#ends.delete(pid);
    }
  }
}

/** Whether a process can be a later master: those have the user of this one. */
function isLater(pid: number): boolean {
  return isOwn(pid) && isDescendant(pid, Deno.pid);
}

/** Whether a process has not ended: one that has no longer has arguments, though its parent may not know of its end. */
function runs(pid: number): boolean {
  return argumentsOf(pid).length > 0;
}

/** Whether a process is of this one's user, as no program is that a server of another user has left behind. */
function isOwn(pid: number): boolean {
  return userOf(pid) === Deno.uid();
}

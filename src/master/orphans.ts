/**
 * The orphans that a master reaps: those of a container whose first process it is, and later masters
 * after an upgrade whose parent it stays.
 *
 * @module
 */
import { zdebug } from "../log/log.ts";
import type { ExitStatus } from "../os/process/child_process.ts";
import { adoptOrphans, adoptsOrphans, reapOrphans } from "../os/process/reap.ts";

/** Reaps orphans. */
export class Orphans {
  readonly #onReaped: (pid: number, status: ExitStatus) => void;
  #release?: () => void;

  /** @param onReaped Called with each process that was reaped. */
  constructor(onReaped: (pid: number, status: ExitStatus) => void) {
    this.#onReaped = onReaped;
  }

  /** Reaps orphans from now on, if the kernel gives them to this process. */
  reap(): void {
    if (!adoptsOrphans() || this.#release !== undefined) return;
    this.#release = reapOrphans({
      onReaped: (pid, status) => {
        zdebug("reaped orphan", pid);
        this.#onReaped(pid, status);
      },
    });
  }

  /** Has the kernel give its orphans to this process, and reaps them. */
  adopt(): void {
    if (this.#release !== undefined) return;
    adoptOrphans();
    this.reap();
  }

  /** Ends the reaping; such functions are called together. */
  get releases(): (() => void)[] {
    return this.#release === undefined ? [] : [this.#release];
  }
}

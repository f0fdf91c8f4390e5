/**
 * What becomes of a master from which a new one has taken over: its servers drain, it resumes its
 * services if the new one ends unexpectedly, and it may stay as the parent of all later masters.
 *
 * @module
 */
import { isUserError } from "../ipc/user_error.ts";
import { zerror, zinfo, zwarn } from "../log/log.ts";
import { systemClock } from "../os/clock/clock.ts";
import { describeExit, type ExitStatus } from "../os/process/child_process.ts";
import { findZombie } from "../os/process/waitid.ts";
import type { MasterParts } from "./master_parts.ts";
import { TERMINATE_GRACE_MS } from "./policy/timeouts.ts";
import type { ResolvedService } from "./policy/resolved_service.ts";
import { ServiceError } from "./policy/reload_report.ts";
import { STOP_SIGNALS } from "./signals.ts";
import type { NewMaster, Upgrade } from "./upgrade/new_master.ts";
import { StandingParent } from "./upgrade/standing_parent.ts";

/**
 * The minimum time for which an old master remains the fallback, even if its servers end earlier.
 */
const FALLBACK_MS = 2_000;

const STOPS: readonly Deno.Signal[] = STOP_SIGNALS;

/** The new master that has taken over from this one. */
interface Takeover {
  readonly newMaster: NewMaster;
  /** Set if this process stays as the parent of all later masters. */
  readonly parent?: StandingParent;
  /**
   * The services that this master resumes if the new one ends unexpectedly; undefined once it is no
   * longer the fallback.
   */
  fallback?: readonly ResolvedService[];
  /** Fulfilled when this master is no longer needed as the fallback. */
  readonly passed: PromiseWithResolvers<void>;
}

/** The retirement of a master, which begins when a new one has taken over. */
export class Retirement {
  readonly #parts: MasterParts;
  /** Whether the new master of an upgrade has said that this one is not needed as the fallback. */
  #needsNoFallback = false;
  /** The new master that has taken over, while it runs. */
  #takeover?: Takeover;

  /** @param parts The parts of this master. */
  constructor(parts: MasterParts) {
    this.#parts = parts;
  }

  /** The new master that has taken over, while it runs. */
  get newMaster(): NewMaster | undefined {
    return this.#takeover?.newMaster;
  }

  /**
   * Passes a signal on to the current master, if this one stays as its parent: the starter of this
   * process knows only this one.
   *
   * @returns Whether it was passed on.
   */
  passOn(signal: Deno.Signal): boolean {
    const parent = this.#takeover?.parent;
    if (parent === undefined) return false;
    // A requested stop must not make this master resume.
    if (STOPS.includes(signal)) this.dropFallback();
    parent.passOn(signal);
    return true;
  }

  /** Records the exit of an orphan, which may be a later master. */
  reaped(pid: number, status: ExitStatus): void {
    this.#takeover?.parent?.reaped(pid, status);
  }

  /** Forgets what an earlier new master has said; to be called before the next upgrade. */
  prepare(): void {
    this.#needsNoFallback = false;
  }

  /**
   * Hands the duty over to the new master, which has taken over. This one is its fallback from now
   * on.
   *
   * @param upgrade The upgrade.
   * @param stays Whether this process stays as the parent of all later masters.
   */
  begin({ newMaster, dropped }: Upgrade, stays: boolean): void {
    const { duty, serviceManager, stops, oldMaster, supervisor, listeners } = this.#parts;
    const { changes, control } = this.#parts;
    duty.leave();
    serviceManager.replacedBy(newMaster.pid);
    const parent = stays ? new StandingParent(newMaster.pid, duty.lock) : undefined;
    const takeover: Takeover = { newMaster, parent, passed: Promise.withResolvers() };
    this.#takeover = takeover;
    // A stop has already decided what happens to the processes.
    if (!stops.hasAny) {
      supervisor.countConnections();
      oldMaster?.settled();
      takeover.fallback = supervisor.current;
      for (const [key, slots] of supervisor.retire(dropped)) listeners.keep(key, slots);
      this.#parts.phase.enter("draining");
      if (this.#needsNoFallback) this.dropFallback();
    }
    if (changes.isWaiting("reload")) newMaster.reload();
    changes.cancel(
      new ServiceError("busy", `Cannot change services: process ${newMaster.pid} has taken over`),
    );
    control.withdraw({ leavesFile: true });
    const until = stays
      ? "this one stays as its parent"
      : "this one ends when its servers have finished";
    zinfo(`process ${newMaster.pid} has taken over, ${until}`);
  }

  /**
   * Waits until the servers of this master and of older masters have ended; as a parent, until the
   * last master has ended.
   *
   * @returns The exit code; undefined if this master has resumed, because the new master has ended.
   */
  async drain(): Promise<number | undefined> {
    const { supervisor, oldMaster, phase, control } = this.#parts;
    const { newMaster, parent, passed } = this.#takeover!;
    const timer = systemClock.setTimer(FALLBACK_MS, passed.resolve);
    const finished = Promise.all([passed.promise, supervisor.stopped, oldMaster?.gone])
      .then(() => undefined);
    const status = await Promise.race([finished, newMaster.exited]);
    if (status !== undefined) {
      timer.cancel();
      if (await this.#resume(status)) return undefined;
      passed.resolve();
      // The starter waits for this process before it can start another one.
      if (parent !== undefined && !parent.hasAdopted) this.limitDrain(TERMINATE_GRACE_MS);
    }
    await finished;
    this.dropFallback();
    // The new master has its own socket by now, possibly at another path or none.
    control.removeFile();
    if (parent === undefined) {
      // It may have ended since, or just now; a parent above this master goes by its code.
      const hasEnded = newMaster.hasExited || findZombie(newMaster.pid) !== undefined;
      return hasEnded ? exitCodeOf(await newMaster.exited) : 0;
    }
    phase.enter("waiting");
    newMaster.drained();
    zinfo(`its servers have finished, it waits for process ${parent.pid}`);
    return exitCodeOf(await parent.ended(newMaster.exited));
  }

  /**
   * Resumes the services after the new master has ended unexpectedly.
   *
   * @param status The exit status of the new master.
   * @returns Whether that was possible.
   */
  async #resume(status: ExitStatus): Promise<boolean> {
    const { changes, duty, phase, serviceManager, control, reloads, listeners, stops, counts } =
      this.#parts;
    const takeover = this.#takeover!, { newMaster, fallback } = takeover;
    if (fallback === undefined) return false;
    takeover.fallback = undefined;
    changes.hold();
    const how = `process ${newMaster.pid}, which had taken over, has ended: ${
      describeExit(status)
    }`;
    try {
      if (await duty.takeBack()) {
        zwarn(`${how}; this one goes on as before the upgrade`);
        this.#takeover = undefined;
        counts.failed();
        phase.enter("serving");
        serviceManager.resume();
        control.open();
        await reloads.resume(fallback);
        // Its user is known by the services alone.
        control.follow();
        listeners.own("close");
        if (stops.hasAny) phase.enter("stopping");
        return true;
      }
      zwarn(`${how}; another master has its place`);
    } catch (error) {
      zerror(`${how}; this one can't go on as before:`, isUserError(error) ? error.message : error);
      duty.giveUp();
      this.#takeover = takeover;
      phase.enter("draining");
    }
    this.dropFallback();
    // Also for the clients that have connected while this master tried.
    const why = `process ${newMaster.pid} has taken over, and has ended`;
    changes.cancel(new ServiceError("busy", `Cannot change services: ${why}`));
    control.withdraw();
    return false;
  }

  /** Closes what was kept in case that the new master ends. */
  dropFallback(): void {
    this.#needsNoFallback = true;
    if (this.#takeover !== undefined) this.#takeover.fallback = undefined;
    this.#takeover?.passed.resolve();
    this.#parts.listeners.own("leave");
    this.#parts.oldMaster?.settled();
  }

  /** Limits the drain time of the processes of this master and of older ones. */
  limitDrain(timeoutMs: number): void {
    this.dropFallback();
    this.#parts.supervisor.stop(timeoutMs);
    this.#parts.oldMaster?.stop(timeoutMs);
  }

  /** Limits the number of old masters that drain, this one included. */
  limitGenerations(generations: number): void {
    if (generations < 1) {
      this.dropFallback();
      this.#parts.supervisor.stop(TERMINATE_GRACE_MS);
    }
    this.#parts.oldMaster?.bound(Math.max(0, generations - 1));
  }
}

/** The exit code of a process that waits for another one. */
function exitCodeOf({ code }: ExitStatus): number {
  return code < 0 ? 1 : code;
}

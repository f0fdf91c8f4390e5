/**
 * Repairs open listeners: all processes of a service share them, so one process can shut a listener
 * down or change it. Each repair is logged.
 *
 * docs/design/19_hostile_servers.md has the reasons.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import type { Clock, Timer } from "../../os/clock/clock.ts";
import type { Listener } from "../policy/listener.ts";
import type { ListenerTable } from "./table.ts";

/** The pause between two immediate repairs of an address; it doubles each time. */
const FIRST_PAUSE_MS = 100, LONGEST_PAUSE_MS = 30_000;

/** After this time without damage the pause starts anew. */
const FORGOTTEN_AFTER_MS = 60_000;

/** The ports of a {@linkcode ListenerRepair}. */
export interface ListenerRepairOptions {
  readonly clock: Clock;
  readonly table: ListenerTable;
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
  /** Whether a process holds a listener. */
  isHeld(listener: Listener): boolean;
  /**
   * Called after a repair.
   *
   * @param key The key of the address.
   * @param replaced The listeners that were closed and replaced by others.
   */
  onRepaired(key: string, replaced: readonly Listener[]): void;
}

/** The state of an address whose listeners were damaged. */
interface Damage {
  pauseMs: number;
  /** No immediate repair before this. */
  untilMs: number;
  timer?: Timer;
  /** The last logged problem that could not be repaired. */
  problem?: string;
}

/** Checks listeners and has them repaired. */
export class ListenerRepair {
  readonly #options: ListenerRepairOptions;
  readonly #damages = new Map<string, Damage>();

  /** @param options The ports. */
  constructor(options: ListenerRepairOptions) {
    this.#options = options;
  }

  /** Checks all listeners, and replaces those that can't be repaired. */
  lookAtAll(): void {
    const keys = this.#options.table.openKeys();
    for (const key of this.#damages.keys()) if (!keys.includes(key)) this.#forget(key);
    for (const key of keys) this.#repair(key, { mayReplace: true });
  }

  /**
   * Checks the listeners of a process that has ended unexpectedly, and restores their queues. Its replacement, which
   * may want other queues, is not started yet.
   *
   * @param listeners The listeners, some of which may be closed.
   */
  lookAfterFailure(listeners: readonly Listener[]): void {
    const { table } = this.#options;
    this.lookAt(listeners, { mayReplace: true });
    for (const listener of listeners) {
      if (table.keyOf(listener) !== undefined) table.restoreQueue(listener);
    }
  }

  /**
   * Checks the listeners of a process.
   *
   * @param listeners The listeners, some of which may be closed.
   * @param options `mayReplace`: whether a listener that can't be repaired is replaced.
   */
  lookAt(
    listeners: readonly Listener[],
    options: { readonly mayReplace: boolean },
  ): void {
    const { table } = this.#options;
    const damaged = listeners.flatMap((listener) => {
      const key = table.keyOf(listener);
      return key === undefined || table.isSound(listener) ? [] : [key];
    });
    for (const key of new Set(damaged)) this.#repair(key, options);
  }

  /**
   * Checks addresses after the end of a process that was told to stop. A listener that has to be replaced
   * is handled like one that accepts no more: a program that removes its socket file at each end has
   * all processes replaced each time, with growing pauses.
   *
   * @param keys The keys of the addresses that the process has served.
   */
  lookAfterEnd(keys: readonly string[]): void {
    const { table } = this.#options;
    const isDamaged = (key: string) =>
      !table.listenersOf(key).every((listener) => table.isSound(listener));
    for (const key of keys.filter(isDamaged)) {
      this.#repair(key, { mayReplace: false });
      if (isDamaged(key)) this.#repairInTime(key);
    }
  }

  /**
   * Handles a listener that accepts no more connections. It is repaired at once, or after a pause
   * if it was repaired recently, so that a process can't keep the master busy.
   *
   * @param listener The listener, whose watch has ended.
   */
  onShutDown(listener: Listener): void {
    const key = this.#options.table.keyOf(listener);
    if (key !== undefined) this.#repairInTime(key);
  }

  /** Ends all repairs. */
  stop(): void {
    for (const key of [...this.#damages.keys()]) this.#forget(key);
  }

  #repairInTime(key: string): void {
    const { clock } = this.#options, nowMs = clock.nowMs();
    const damage = this.#damages.get(key) ?? { pauseMs: 0, untilMs: -Infinity };
    this.#damages.set(key, damage);
    if (nowMs < damage.untilMs) {
      damage.timer ??= clock.setTimer(damage.untilMs - nowMs, () => {
        damage.timer = undefined;
        this.#repairInTime(key);
      });
      return;
    }
    const isForgotten = nowMs >= damage.untilMs + FORGOTTEN_AFTER_MS;
    damage.pauseMs = isForgotten
      ? FIRST_PAUSE_MS
      : Math.min(Math.max(2 * damage.pauseMs, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
    damage.untilMs = nowMs + damage.pauseMs;
    this.#repair(key, { mayReplace: true });
  }

  #repair(key: string, options: { readonly mayReplace: boolean }): void {
    const { table, log, onRepaired, isHeld } = this.#options;
    const mayRevive = !table.listenersOf(key).some(isHeld);
    const { told, problem, replaced } = table.repair(key, { ...options, mayRevive });
    for (const text of told) log(`${key} ${text}`, "warn");
    const damage = this.#damages.get(key);
    const isNew = problem !== undefined && problem !== damage?.problem;
    // A problem is logged only once a replacement is allowed and fails.
    if (isNew && options.mayReplace) log(`${key} ${problem}`, "warn");
    if (damage !== undefined) damage.problem = problem;
    if (told.length > 0) onRepaired(key, replaced);
  }

  #forget(key: string): void {
    this.#damages.get(key)?.timer?.cancel();
    this.#damages.delete(key);
  }
}

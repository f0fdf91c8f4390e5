/**
 * The care for open listeners, which all processes of a service share: one that a process has shut
 * down or damaged otherwise is put right, and the log tells it.
 *
 * docs/design/19_hostile_servers.md has the reasons.
 *
 * @module
 */
import type { Clock, Timer } from "../../os/clock/clock.ts";
import type { OpenedListener } from "../../os/net/socket.ts";
import type { ListenerTable } from "./table.ts";

/** How long it is from one time that a listener is put right at once to the next; doubled each time. */
const FIRST_PAUSE_MS = 100, LONGEST_PAUSE_MS = 30_000;

/** After so long without trouble the first pause is next again. */
const FORGOTTEN_AFTER_MS = 60_000;

/** What is needed for that. */
export interface ListenerCareOptions {
  readonly clock: Clock;
  readonly table: ListenerTable;
  /** Takes lines for the log. */
  log(text: string): void;
  /** Whether a process has a listener. */
  isHeld(listener: OpenedListener): boolean;
  /**
   * Something was put right.
   *
   * @param key The key of the address.
   * @param replaced Those of its listeners that are closed; others have taken their places.
   */
  onMended(key: string, replaced: readonly OpenedListener[]): void;
}

/** What is known of an address whose listeners were of no use. */
interface Trouble {
  pauseMs: number;
  /** Nothing is done at once before this. */
  untilMs: number;
  timer?: Timer;
  /** What was told last of what can't be put right. */
  problem?: string;
}

/** Looks at listeners and has them put right. */
export class ListenerCare {
  readonly #options: ListenerCareOptions;
  readonly #troubles = new Map<string, Trouble>();

  /** @param options What it needs. */
  constructor(options: ListenerCareOptions) {
    this.#options = options;
  }

  /** Looks at all, and replaces those that can't be put right. */
  lookAtAll(): void {
    const keys = this.#options.table.openKeys();
    for (const key of this.#troubles.keys()) if (!keys.includes(key)) this.#forget(key);
    for (const key of keys) this.#mend(key, { mayReplace: true });
  }

  /**
   * Looks at the listeners of a process.
   *
   * @param listeners The listeners, of which some may be closed by now.
   * @param options `mayReplace`: whether one that can't be put right is replaced.
   */
  lookAt(
    listeners: readonly OpenedListener[],
    options: { readonly mayReplace: boolean },
  ): void {
    const { table } = this.#options;
    const damaged = listeners.flatMap((listener) => {
      const key = table.keyOf(listener);
      return key === undefined || table.isSound(listener) ? [] : [key];
    });
    for (const key of new Set(damaged)) this.#mend(key, options);
  }

  /**
   * Looks at some addresses after the end of a process that was told to go. What only another listener
   * helps against is done like what a watch tells: a program that removes the file of its socket at its
   * end has all processes replaced each time.
   *
   * @param keys The keys of the addresses that it has served.
   */
  lookAfterEnd(keys: readonly string[]): void {
    const { table } = this.#options;
    const isDamaged = (key: string) =>
      !table.listenersOf(key).every((listener) => table.isSound(listener));
    for (const key of keys.filter(isDamaged)) {
      this.#mend(key, { mayReplace: false });
      if (isDamaged(key)) this.#mendInTime(key);
    }
  }

  /**
   * Takes note that a listener takes no connections any more. It is put right at once, and where that
   * is soon to be done again, after a pause: a process must not keep the master busy.
   *
   * @param listener The listener, whose watch has ended.
   */
  onDeaf(listener: OpenedListener): void {
    const key = this.#options.table.keyOf(listener);
    if (key !== undefined) this.#mendInTime(key);
  }

  /** Ends the care: nothing is looked at any more. */
  stop(): void {
    for (const key of [...this.#troubles.keys()]) this.#forget(key);
  }

  #mendInTime(key: string): void {
    const { clock } = this.#options, nowMs = clock.nowMs();
    const trouble = this.#troubles.get(key) ?? { pauseMs: 0, untilMs: -Infinity };
    this.#troubles.set(key, trouble);
    if (nowMs < trouble.untilMs) {
      trouble.timer ??= clock.setTimer(trouble.untilMs - nowMs, () => {
        trouble.timer = undefined;
        this.#mendInTime(key);
      });
      return;
    }
    const isForgotten = nowMs >= trouble.untilMs + FORGOTTEN_AFTER_MS;
    trouble.pauseMs = isForgotten
      ? FIRST_PAUSE_MS
      : Math.min(Math.max(2 * trouble.pauseMs, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
    trouble.untilMs = nowMs + trouble.pauseMs;
    this.#mend(key, { mayReplace: true });
  }

  #mend(key: string, options: { readonly mayReplace: boolean }): void {
    const { table, log, onMended, isHeld } = this.#options;
    const mayRevive = !table.listenersOf(key).some(isHeld);
    const { told, problem, replaced } = table.mend(key, { ...options, mayRevive });
    for (const text of told) log(`warning: ${key} ${text}`);
    const trouble = this.#troubles.get(key);
    const isNews = problem !== undefined && problem !== trouble?.problem;
    // What may not be replaced now is told when it may, and can't.
    if (isNews && options.mayReplace) log(`warning: ${key} ${problem}`);
    if (trouble !== undefined) trouble.problem = problem;
    if (told.length > 0) onMended(key, replaced);
  }

  #forget(key: string): void {
    this.#troubles.get(key)?.timer?.cancel();
    this.#troubles.delete(key);
  }
}

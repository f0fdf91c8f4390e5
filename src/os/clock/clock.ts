/**
 * Monotonic time and timers, as a port that tests replace.
 *
 * @module
 */
import { Alarm } from "./alarm.ts";
import { CountedTime } from "./counted_time.ts";
import { TimerQueue } from "./timer_queue.ts";

/** A timer that was set. */
export interface Timer {
  /** Cancels it; does nothing once it has fired. */
  cancel(): void;
}

/** A source of time. */
export interface Clock {
  /** Milliseconds on a clock that never goes backwards, and stops while this process does not run. */
  nowMs(): number;
  /** The time of the last return from a suspension of this process; -Infinity: never. */
  readonly awayAtMs: number;
  /**
   * Calls back once. Callbacks that are due at the same moment run in the order of setting, one right after
   * the other, before their promise reactions.
   *
   * @param delayMs The least delay in milliseconds; less than 1 counts as 1.
   * @param callback The callback.
   */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** The shortest delay, so that every timer waits for a turn of the event loop. */
const SHORTEST_MS = 1;

/** The real clock: any number of timers on one {@linkcode Alarm}. */
class SystemClock implements Clock {
  readonly #time = new CountedTime(() => performance.now());
  readonly #timers = new TimerQueue();
  readonly #alarm = new Alarm(() => this.#fire());

  nowMs(): number {
    return this.#time.nowMs();
  }

  get awayAtMs(): number {
    return this.#time.awayAtMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    // Not Math.max: NaN, too, must fire soon.
    const atMs = this.nowMs() + (delayMs > SHORTEST_MS ? delayMs : SHORTEST_MS);
    const firstMs = this.#timers.firstMs;
    const timer = this.#timers.add(atMs, callback);
    this.#setAlarm(firstMs);
    return {
      cancel: () => {
        const firstMs = this.#timers.firstMs;
        if (this.#timers.remove(timer)) this.#setAlarm(firstMs);
      },
    };
  }

  /** Sets the alarm to the first timer, if that has changed. */
  #setAlarm(beforeMs?: number): void {
    const { firstMs } = this.#timers;
    if (firstMs !== beforeMs) this.#alarm.set(this.#time.alarmMs(firstMs));
  }

  #fire(): void {
    const nowMs = this.#time.rung();
    for (let due; (due = this.#timers.firstDue(nowMs)) !== undefined;) {
      this.#timers.remove(due);
      try {
        due.callback();
      } catch (error) {
        // As for a timer of the runtime: it ends the process, unless an error listener prevents it.
        reportError(error);
      }
    }
    this.#setAlarm();
  }
}

/** The real clock. */
export const systemClock: Clock = new SystemClock();

/** Waits for at least that long. */
export function delay(ms: number, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve) => void clock.setTimer(ms, resolve));
}

/** A wait for a limited time. */
export interface TimeLimit<Late> {
  readonly ms: number;
  /** Called when the time is over; its result, or its error, is that of the wait. */
  late(): Late;
  /** @default {systemClock} */
  readonly clock?: Clock;
}

/**
 * Waits for a promise for a limited time.
 *
 * @param promise The promise.
 * @param limit The time, and what follows when it is over.
 */
export async function within<T, Late>(
  promise: Promise<T>,
  { ms, late, clock = systemClock }: TimeLimit<Late>,
): Promise<T | Late> {
  const over = Promise.withResolvers<void>();
  const timer = clock.setTimer(ms, over.resolve);
  try {
    return await Promise.race([promise, over.promise.then(late)]);
  } finally {
    timer.cancel();
  }
}

/**
 * Calls back repeatedly, each time after an interval from the last call.
 *
 * @param clock The source of time.
 * @param options The interval and the callback.
 * @returns Ends it.
 */
export function setRepeated(
  clock: Clock,
  { everyMs, callback }: { readonly everyMs: number; readonly callback: () => void },
): Timer {
  let timer: Timer;
  const arm = () => {
    timer = clock.setTimer(everyMs, () => {
      arm();
      callback();
    });
  };
  arm();
  return { cancel: () => timer.cancel() };
}

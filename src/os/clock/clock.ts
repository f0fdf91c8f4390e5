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
  /** Takes it back; harmless once it has fired. */
  cancel(): void;
}

/** Where time comes from. */
export interface Clock {
  /**
   * Milliseconds on a clock that only goes forward, whatever happens to the time of day, and stands
   * still while this process does not run.
   */
  nowMs(): number;
  /** When this process was seen to be back from a time in which it did not run; -Infinity: never. */
  readonly awayAtMs: number;
  /**
   * Calls back once. What is due at the same moment is called in the order of setting, one right after
   * the other: what one of them has only promised to do comes after all of them.
   *
   * @param delayMs After so many milliseconds, and no sooner; less than 1 counts as 1.
   * @param callback What to call.
   */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** As short as a timer is: whoever sets one waits for a turn of the event loop at least. */
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
    // Not Math.max: NaN, too, is to fire soon.
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

  /** Sets the alarm for the first timer, if it is not the one that was the first. */
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
        // As from a timer of the runtime: it ends the process, unless somebody has asked to be told.
        reportError(error);
      }
    }
    this.#setAlarm();
  }
}

/** The real clock. */
export const systemClock: Clock = new SystemClock();

/**
 * Calls back again and again, each time so long after the last call.
 *
 * @param clock Where time comes from.
 * @param options How often, and what to call.
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

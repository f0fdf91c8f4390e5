/**
 * A helper process that is to run as long as this one: it is started again whenever it ends.
 *
 * @module
 */
import type { ChildProcess } from "./child_process.ts";
import { type Clock, systemClock, type Timer } from "../clock/clock.ts";

/** A process that has run for this long is restarted at once when it ends. */
const STEADY_MS = 1_000;

/** The first restart delay otherwise, doubled each time up to {@linkcode STEADY_MS}. */
const RESTART_MS = 10;

/** A helper process with what belongs to it. */
export interface Running {
  readonly child: ChildProcess;
}

/** How a helper process is started and ended. */
export interface KeptProcessOptions<R extends Running> {
  /** Starts it. */
  start(): R;
  /** Closes what belongs to it, after it was killed or has ended. */
  discard(running: R): void;
  /** Whether it is still needed after a delay; without, it is started with the next call of `start`. */
  isNeeded(): boolean;
  /** Called when it can't be started, once per series of failures. */
  report(error: unknown): void;
  readonly clock?: Clock;
}

/** See the module. */
export class KeptProcess<R extends Running> {
  readonly #options: KeptProcessOptions<R>;
  readonly #clock: Clock;
  #running?: R;
  #reported = false;
  #startedAtMs = -Infinity;
  /** The delay of the next restart if this start fails, or its process ends soon. */
  #restartMs = 0;
  #restart?: Timer;

  constructor(options: KeptProcessOptions<R>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** The process, while it runs. */
  get running(): R | undefined {
    return this.#running;
  }

  /** Starts the process, unless it runs, and restarts it from then on whenever it ends. */
  start(): void {
    if (this.#running !== undefined) return;
    this.#restart?.cancel();
    this.#startedAtMs = this.#clock.nowMs();
    try {
      const running = this.#options.start();
      this.#running = running;
      running.child.exited.then(() => this.replace(running));
      this.#reported = false;
    } catch (error) {
      if (!this.#reported) this.#options.report(error);
      this.#reported = true;
      this.#startAgain();
    }
  }

  /** Restarts the process: at once, or after a delay if it ends repeatedly or can't be started. */
  #startAgain(): void {
    const wasSteady = this.#clock.nowMs() - this.#startedAtMs >= STEADY_MS;
    const delayMs = wasSteady ? 0 : this.#restartMs;
    this.#restartMs = Math.min(Math.max(2 * delayMs, RESTART_MS), STEADY_MS);
    if (delayMs === 0) this.start();
    else {
      this.#restart = this.#clock.setTimer(delayMs, () => {
        if (this.#options.isNeeded()) this.start();
      });
    }
  }

  /** Replaces a process that has ended or failed. */
  replace(running: R): void {
    if (this.discard(running)) this.#startAgain();
  }

  /** Ends the process without a replacement; returns whether it was the running one. */
  discard(running: R): boolean {
    if (!this.release(running)) return false;
    running.child.kill("SIGKILL");
    this.#options.discard(running);
    return true;
  }

  /** Lets go of the process, which ends by itself, without a replacement; returns whether it was the running one. */
  release(running: R): boolean {
    if (this.#running !== running) return false;
    this.#running = undefined;
    return true;
  }

  /** Cancels a restart that is due. */
  cancelRestart(): void {
    this.#restart?.cancel();
  }
}

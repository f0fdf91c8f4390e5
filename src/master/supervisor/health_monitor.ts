/**
 * The care for workers that serve: what is heard of them, how old and how large they get, and whether
 * anybody uses them. All of it goes into the tables; what follows is for the policy to say.
 *
 * @module
 */
import type { Clock } from "../../os/clock/clock.ts";
import { beginLife, MEASURE_MS, weigh } from "../policy/recycling.ts";
import { isServing, type Worker } from "../policy/model.ts";
import { DOUBT_MS, HEARTBEAT_MS, patienceMs } from "../policy/watchdog.ts";

/** What is needed for that. */
export interface HealthMonitorOptions {
  readonly clock: Clock;
  /** Takes lines for the log. */
  log(text: string): void;
  /** Chance: a number from 0 up to 1. */
  random(): number;
  /** How much memory a process uses, in bytes; throws when that can't be read. */
  memoryOf(pid: number): number;
}

/** Enters into the tables how workers are. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  /** Those whose memory could not be read: it is said once of each. */
  readonly #unread = new WeakSet<Worker>();

  /** @param options What it needs. */
  constructor(options: HealthMonitorOptions) {
    this.#options = options;
  }

  /**
   * Begins with a worker that is ready.
   *
   * @param worker The worker.
   */
  begin(worker: Worker): void {
    beginLife(worker, { nowMs: this.#nowMs, random: this.#options.random() });
    // Its start may have taken longer than it may be silent.
    if (worker.silentUntilMs !== undefined) this.#hear(worker);
  }

  /**
   * Takes note of a heartbeat.
   *
   * @param worker The worker.
   * @returns Whether it is the first one: from now on there is a time at which to look at the worker.
   */
  heartbeat(worker: Worker): boolean {
    // Nobody has asked for it: it is a promise of nothing.
    if (worker.config.supervision.watchdogMs === 0) return false;
    const isFirst = worker.silentUntilMs === undefined;
    this.#hear(worker);
    return isFirst;
  }

  #hear(worker: Worker): void {
    worker.silentUntilMs = this.#nowMs + patienceMs(worker.config);
    worker.suspected = false;
  }

  /**
   * Takes note that a worker is silent: it gets a little more time, or as much as a heartbeat needs
   * where this process, and so mostly the whole machine, has only just come back.
   *
   * @param worker The worker.
   */
  suspect(worker: Worker): void {
    const backMs = this.#options.clock.awayAtMs + HEARTBEAT_MS;
    worker.suspected = backMs <= this.#nowMs;
    worker.silentUntilMs = worker.suspected ? this.#nowMs + DOUBT_MS : backMs;
  }

  /**
   * Has a worker replaced that is old enough.
   *
   * @param worker The worker.
   */
  recycle(worker: Worker): void {
    const seconds = Math.round((this.#nowMs - worker.startedAtMs) / 1000);
    this.#spend(worker, `it is ${seconds} s old`);
  }

  /**
   * Has a worker replaced that can serve no more.
   *
   * @param worker The worker.
   * @param reason Why.
   * @returns Whether that is new.
   */
  spend(worker: Worker, reason = "it has accepted all of its connections"): boolean {
    if (!isServing(worker) || worker.recycleReason !== undefined) return false;
    this.#spend(worker, reason);
    return true;
  }

  /**
   * Looks at the memory of a worker, which is replaced if it uses too much for too long.
   *
   * @param worker The worker.
   */
  measure(worker: Worker): void {
    const { pid, config: { id } } = worker;
    try {
      const bytes = this.#options.memoryOf(pid);
      const isTooMuch = weigh(worker, { nowMs: this.#nowMs, bytes });
      if (isTooMuch) this.#spend(worker, `it uses ${Math.round(bytes / 2 ** 20)} MB of memory`);
    } catch (error) {
      // It has ended just now, or it is another user's; or this process lacks something for a while.
      const { NotFound, PermissionDenied } = Deno.errors;
      const isFinal = error instanceof NotFound || error instanceof PermissionDenied;
      worker.measureAtMs = isFinal ? undefined : this.#nowMs + MEASURE_MS;
      if (this.#unread.has(worker)) return;
      this.#unread.add(worker);
      this.#options.log(`${id}: the memory of process ${pid} is not watched: ${error}`);
    }
  }

  #spend(worker: Worker, reason: string): void {
    worker.recycleReason = reason;
    this.#options.log(`${worker.config.id}: process ${worker.pid} is to be replaced: ${reason}`);
  }

  get #nowMs(): number {
    return this.#options.clock.nowMs();
  }
}

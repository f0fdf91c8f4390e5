/**
 * The health monitor: records the heartbeats, the age and the memory of serving workers in the
 * model, for the policy to decide on.
 *
 * @module
 */
import type { Clock } from "../../os/clock/clock.ts";
import { beginLife, MEASURE_MS, weigh } from "../policy/recycling.ts";
import { isServing, type Worker } from "../policy/model.ts";
import { HEARTBEAT_MS, patienceMs, SUSPECT_MS } from "../policy/watchdog.ts";

/** The ports of a health monitor. */
export interface HealthMonitorOptions {
  readonly clock: Clock;
  /** Writes a line to the log. */
  log(text: string): void;
  /** A random number from 0 up to 1. */
  random(): number;
  /** The memory of a process, in bytes; throws when it can't be read. */
  memoryOf(pid: number): number;
}

/** Records the health of workers in the model. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  /** The workers whose memory could not be read; this is logged once for each. */
  readonly #unreadable = new WeakSet<Worker>();

  /** @param options The ports. */
  constructor(options: HealthMonitorOptions) {
    this.#options = options;
  }

  /** Starts to watch a worker that has just become ready. */
  begin(worker: Worker): void {
    beginLife(worker, { nowMs: this.#nowMs, random: this.#options.random() });
    // Its start may have taken longer than the watchdog time.
    if (worker.silentUntilMs !== undefined) this.#extendSilence(worker);
  }

  /**
   * Records a heartbeat.
   *
   * @param worker The worker.
   * @returns Whether it is the first one: then the next check of the worker has to be scheduled.
   */
  heartbeat(worker: Worker): boolean {
    // Without a watchdog time, later heartbeats are not expected.
    if (worker.config.supervision.watchdogMs === 0) return false;
    const isFirst = worker.silentUntilMs === undefined;
    this.#extendSilence(worker);
    return isFirst;
  }

  #extendSilence(worker: Worker): void {
    worker.silentUntilMs = this.#nowMs + patienceMs(worker.config);
    worker.suspected = false;
  }

  /**
   * Suspects a silent worker and waits a little longer. If this process itself was suspended until
   * just now, the worker gets the time of a whole heartbeat.
   */
  suspect(worker: Worker): void {
    const backMs = this.#options.clock.awayAtMs + HEARTBEAT_MS;
    worker.suspected = backMs <= this.#nowMs;
    worker.silentUntilMs = worker.suspected ? this.#nowMs + SUSPECT_MS : backMs;
  }

  /** Marks a worker for recycling because of its age. */
  recycle(worker: Worker): void {
    const seconds = Math.round((this.#nowMs - worker.startedAtMs) / 1000);
    this.#mark(worker, `reached server-max-age at ${seconds} s`);
  }

  /**
   * Marks a worker for recycling.
   *
   * @param worker The worker.
   * @param reason Why; by default it has reached its number of connections.
   * @returns Whether the worker was not marked yet.
   */
  spend(worker: Worker, reason = "reached server-max-connections"): boolean {
    if (!isServing(worker) || worker.recycleReason !== undefined) return false;
    this.#mark(worker, reason);
    return true;
  }

  /**
   * Measures the memory of a worker, and marks it for recycling if it has used too much for too
   * long.
   */
  measure(worker: Worker): void {
    const { pid, config: { id } } = worker;
    try {
      const bytes = this.#options.memoryOf(pid);
      const isTooMuch = weigh(worker, { nowMs: this.#nowMs, bytes });
      if (isTooMuch) {
        this.#mark(worker, `exceeded server-max-memory with ${Math.round(bytes / 2 ** 20)} MB`);
      }
    } catch (error) {
      // It has just ended, or belongs to another user; or this process lacks a resource for a
      // while.
      const { NotFound, PermissionDenied } = Deno.errors;
      const isFinal = error instanceof NotFound || error instanceof PermissionDenied;
      worker.measureAtMs = isFinal ? undefined : this.#nowMs + MEASURE_MS;
      if (this.#unreadable.has(worker)) return;
      this.#unreadable.add(worker);
      this.#options.log(`${id}: the memory of process ${pid} is not watched: ${error}`);
    }
  }

  #mark(worker: Worker, reason: string): void {
    worker.recycleReason = reason;
    this.#options.log(`${worker.config.id}: process ${worker.pid} is to be replaced: ${reason}`);
  }

  get #nowMs(): number {
    return this.#options.clock.nowMs();
  }
}

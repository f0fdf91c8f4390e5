/**
 * The health monitor: records the heartbeats, the age and the memory of serving workers in the
 * model, for the policy to decide on.
 *
 * @module
 */
import {
  isServing,
  isWatched,
  type ReadyLimits,
  type RecycleReason,
  type Worker,
} from "../policy/life.ts";
import { afterMeasurement, isHeavy, MEASURE_MS, readyLimits } from "../policy/recycling.ts";
import { HEARTBEAT_MS, patienceMs, SUSPECT_MS } from "../policy/watchdog.ts";
import type { Ports } from "./ports.ts";

/** How the log tells these reasons. */
const RECYCLE_TEXTS = {
  connections: "reached server-max-connections",
  listener: "one of its listeners was opened anew",
} as const satisfies Partial<Record<RecycleReason, string>>;

/** Records the health of workers in the model. */
export class HealthMonitor {
  readonly #ports: Pick<Ports, "clock" | "log" | "random" | "memoryOf">;
  /** The workers whose memory could not be read; this is logged once for each. */
  readonly #unreadable = new WeakSet<Worker>();

  /** @param ports The access to the system. */
  constructor(ports: Pick<Ports, "clock" | "log" | "random" | "memoryOf">) {
    this.#ports = ports;
  }

  /** When the age and the memory of a worker that becomes ready are checked. */
  limitsOf(worker: Worker): ReadyLimits {
    return readyLimits(worker, { nowMs: this.#nowMs, random: this.#ports.random() });
  }

  /**
   * Records a heartbeat.
   *
   * @param worker The worker.
   * @returns Whether it is the first one: then the next check of the worker has to be scheduled.
   */
  heartbeat(worker: Worker): boolean {
    const { life, config } = worker;
    // Without a watchdog time, later heartbeats are not expected.
    if (config.supervision.watchdogMs === 0 || !isWatched(life)) return false;
    const isFirst = life.heartbeats === undefined;
    life.heartbeats = { silentUntilMs: this.#nowMs + patienceMs(config), suspected: false };
    return isFirst;
  }

  /** Starts to watch a worker that has just become ready. */
  begin(worker: Worker): void {
    // Its start may have taken longer than the watchdog time.
    if (isWatched(worker.life) && worker.life.heartbeats !== undefined) this.heartbeat(worker);
  }

  /**
   * Suspects a silent worker and waits a little longer. If this process itself was suspended until
   * just now, the worker gets the time of a whole heartbeat.
   */
  suspect(worker: Worker): void {
    const backMs = this.#ports.clock.awayAtMs + HEARTBEAT_MS;
    const suspected = backMs <= this.#nowMs;
    const silentUntilMs = suspected ? this.#nowMs + SUSPECT_MS : backMs;
    if (isWatched(worker.life)) worker.life.heartbeats = { silentUntilMs, suspected };
  }

  /** Marks a worker for recycling because of its age. */
  recycle(worker: Worker): void {
    const seconds = Math.round((this.#nowMs - worker.startedAtMs) / 1000);
    this.#mark(worker, "age", `reached server-max-age at ${seconds} s`);
  }

  /**
   * Marks a worker for recycling.
   *
   * @param worker The worker.
   * @param reason Why.
   * @returns Whether the worker was not marked yet.
   */
  markForRecycling(worker: Worker, reason: keyof typeof RECYCLE_TEXTS): boolean {
    if (!isServing(worker) || worker.life.recycleReason !== undefined) return false;
    this.#mark(worker, reason, RECYCLE_TEXTS[reason]);
    return true;
  }

  /**
   * Measures the memory of a worker, and marks it for recycling if it has used too much for too
   * long.
   */
  measure(worker: Worker): void {
    const { pid, life, config: { id, supervision: { maxMemoryBytes } } } = worker;
    if (life.state !== "ready" || life.memory === undefined) return;
    const nowMs = this.#nowMs;
    try {
      const bytes = this.#ports.memoryOf(pid);
      life.memory = afterMeasurement(life.memory, { nowMs, isTooMuch: bytes > maxMemoryBytes });
      if (isHeavy(life.memory, nowMs)) {
        this.#mark(
          worker,
          "memory",
          `exceeded server-max-memory with ${Math.round(bytes / 2 ** 20)} MB`,
        );
      }
    } catch (error) {
      // It has just ended, or belongs to another user; or this process lacks a resource for a
      // while.
      const { NotFound, PermissionDenied } = Deno.errors;
      const isFinal = error instanceof NotFound || error instanceof PermissionDenied;
      life.memory = isFinal ? undefined : { ...life.memory, measureAtMs: nowMs + MEASURE_MS };
      if (this.#unreadable.has(worker)) return;
      this.#unreadable.add(worker);
      this.#ports.log(`${id}: the memory of process ${pid} is not watched: ${error}`, "warn");
    }
  }

  #mark(worker: Worker, reason: RecycleReason, text: string): void {
    if (!isServing(worker)) return;
    worker.life.recycleReason = reason;
    this.#ports.log(`${worker.config.id}: process ${worker.pid} is to be replaced: ${text}`);
  }

  get #nowMs(): number {
    return this.#ports.clock.nowMs();
  }
}

/**
 * How workers are stopped: soft stop, SIGTERM, SIGABRT, SIGKILL, each with the time after which the
 * next step is due.
 *
 * @module
 */
import { SOFTSTOP_ANSWER_MS, TERMINATE_GRACE_MS, UNREADY_ANSWER_MS } from "../policy/timeouts.ts";
import {
  isReady,
  isServing,
  isStandby,
  type LifeEvent,
  limit,
  neverServed,
  type Worker,
} from "../policy/life.ts";
import type { Service } from "../policy/model.ts";
import { latenessOf, startLimitMs } from "../policy/readiness.ts";
import type { RunningWorker } from "../workers/worker.ts";
import type { WorkerEventCounter } from "./worker_event_counter.ts";
import type { Ports } from "./ports.ts";
import type { Restarts } from "./restarts.ts";
import type { StateChanges } from "./state_changes.ts";

/** What the stops of workers use of the worker pool. */
export interface WorkerStopsOptions {
  readonly running: ReadonlyMap<Worker, RunningWorker>;
  readonly changes: StateChanges;
  readonly restarts: Restarts;
  readonly events: WorkerEventCounter;
}

/** Stops workers. */
export class WorkerStops {
  readonly #ports: Pick<Ports, "clock" | "log" | "debug">;
  readonly #options: WorkerStopsOptions;
  /** When every process is sent SIGTERM and SIGKILL, whatever its state is. */
  #terminateAtMs = Infinity;
  #killAtMs = Infinity;

  /**
   * @param ports The access to the system.
   * @param options The parts of the worker pool.
   */
  constructor(ports: Pick<Ports, "clock" | "log" | "debug">, options: WorkerStopsOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /**
   * When a worker is sent SIGTERM, at the latest when the stop of all workers says so.
   *
   * @param atMs When this worker alone would be.
   */
  terminateAtMs(atMs: number): number {
    return Math.min(atMs, this.#terminateAtMs);
  }

  /**
   * Soft-stops a worker: it accepts no more connections, finishes those that it has, and ends.
   *
   * @param worker The worker.
   * @param options `replaced`: whether its addresses are served after it. `closing`: the indexes of
   * its listeners that are closed for good.
   */
  softstop(
    worker: Worker,
    { replaced, closing }: { readonly replaced: boolean; readonly closing: readonly number[] },
  ): void {
    const recycled = isServing(worker) ? worker.life.recycleReason : undefined;
    const mayHang = !isReady(worker) || worker.life.lostListener;
    const answerMs = mayHang ? UNREADY_ANSWER_MS : SOFTSTOP_ANSWER_MS;
    const deadlineMs = this.terminateAtMs(this.#nowMs + answerMs);
    const running = this.#begin(worker, { type: "softstop", deadlineMs, ofOwnAccord: false });
    if (running === undefined) return;
    if (recycled !== undefined) this.#options.events.replaced(worker, recycled);
    running.softstop(closing);
    if (!replaced) running.notReplaced();
  }

  /**
   * Terminates a worker: SIGTERM, then SIGKILL after a time. A worker that still serves counts as
   * lost, and its replacement is started like that of an ended one.
   */
  terminate(service: Service, worker: Worker): void {
    const { changes, restarts, events, running } = this.#options;
    const isToStay = isServing(worker) || isStandby(worker);
    const isLate = startLimitMs(worker.life) <= this.#nowMs;
    const isCandidate = worker.generation === service.candidate?.generation;
    const ofStandby = neverServed(worker.life);
    const how = isLate ? latenessOf(worker) : "is out of reach";
    if (!changes.leave(service, worker, { event: this.#signalled(), how })) return;
    if (isToStay) events.told(worker, isLate ? "start-timeout" : "lost");
    // The outcome of a rollout is logged as a whole.
    if (isLate && !isCandidate) {
      const who = `process ${worker.pid}${ofStandby ? ", a standby," : ""}`;
      const next = restarts.nextStart(service, { ofStandby });
      this.#ports.log(`${service.id}: ${who} ${how}: it is told to end, and ${next}`, "warn");
    }
    this.#ports.debug(`${service.id}: terminate of process ${worker.pid}`);
    running.get(worker)?.kill("SIGTERM");
  }

  /**
   * Aborts a hanging worker: SIGABRT, which writes a core file where the limits allow it, then
   * SIGKILL after a time.
   */
  abort(service: Service, worker: Worker): void {
    const { changes, events, running } = this.#options;
    const isToStay = worker.life.state !== "draining";
    const { pid, config: { supervision: { watchdogMs } } } = worker, seconds = watchdogMs / 1000;
    if (!changes.leave(service, worker, { event: this.#signalled(), how: "hangs" })) return;
    if (isToStay) events.told(worker, "hung");
    this.#ports.log(
      `${service.id}: process ${pid} hangs: no heartbeat for ${seconds} s (server-watchdog)`,
      "error",
    );
    running.get(worker)?.kill("SIGABRT");
  }

  /** The event of a worker that is sent SIGTERM or SIGABRT now. */
  #signalled(): LifeEvent {
    const deadlineMs = Math.min(this.#nowMs + TERMINATE_GRACE_MS, this.#killAtMs);
    return { type: "terminate", deadlineMs };
  }

  /** Kills a worker that has not ended in time. */
  kill(worker: Worker): void {
    const running = this.#begin(worker, { type: "kill" });
    if (running === undefined) return;
    this.#ports.log(
      `${worker.config.id}: process ${worker.pid} is killed: it did not end in time`,
      "warn",
    );
    running.kill("SIGKILL");
  }

  /**
   * Sets the time limits of all workers; to be followed by a reconciliation of each service.
   *
   * @param limits When each process is sent SIGTERM and SIGKILL, unless that is due earlier.
   */
  limitAll(limits: { readonly terminateAtMs?: number; readonly killAtMs?: number }): void {
    this.#terminateAtMs = Math.min(this.#terminateAtMs, limits.terminateAtMs ?? Infinity);
    this.#killAtMs = Math.min(this.#killAtMs, limits.killAtMs ?? Infinity);
    for (const worker of this.#options.running.keys()) {
      limit(worker, worker.life.state === "stopping" ? this.#killAtMs : this.#terminateAtMs);
    }
  }

  /** Tells all draining workers that they are not replaced. */
  hurryDraining(): void {
    for (const [{ life }, running] of this.#options.running) {
      if (life.state === "draining") running.notReplaced();
    }
  }

  #begin(worker: Worker, event: LifeEvent): RunningWorker | undefined {
    if (!this.#options.changes.advance(worker, event)) return undefined;
    this.#ports.debug(`${worker.config.id}: ${event.type} of process ${worker.pid}`);
    return this.#options.running.get(worker);
  }

  get #nowMs(): number {
    return this.#ports.clock.nowMs();
  }
}

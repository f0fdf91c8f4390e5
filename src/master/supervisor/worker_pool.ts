/**
 * The worker pool: the processes of all services, and how one is started.
 *
 * It performs actions. It decides nothing: after each report of a worker the supervisor reconciles
 * the service.
 *
 * @module
 */
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import type { Counters } from "../counters/counters.ts";
import { historyAtStart, NO_HISTORY } from "../policy/backoff.ts";
import { EARLY_DEATH_MS, LOST_GRACE_MS } from "../policy/timeouts.ts";
import { activate, limit, loading, saysDraining, starting, type Worker } from "../policy/life.ts";
import type { Service, Version } from "../policy/model.ts";
import { readyByMs } from "../policy/readiness.ts";
import { connectionLimit } from "../policy/recycling.ts";
import type { ConnectionCounts, RunningWorker } from "../workers/worker.ts";
import { type Assignment, NO_ASSIGNMENT } from "./assignments.ts";
import { WorkerCounts } from "./connection_counts.ts";
import { WorkerEventCounter } from "./worker_event_counter.ts";
import { HealthMonitor } from "./health_monitor.ts";
import type { Ports } from "./ports.ts";
import { Restarts } from "./restarts.ts";
import { type OnLeave, StateChanges } from "./state_changes.ts";
import { WorkerReports } from "./worker_reports.ts";
import { WorkerStops } from "./worker_stops.ts";

/** The ports of a worker pool. */
export type WorkerPoolPorts = Pick<
  Ports,
  "clock" | "timeOfDayMs" | "launcher" | "log" | "debug" | "tell" | "random" | "memoryOf"
>;

/** What follows from the reports of workers. */
export interface WorkerPoolEvents {
  /** Counts what happens. */
  readonly counters: Counters;
  /** Called after a report of a worker; never from within a call of the pool. */
  onChange(service: Service): void;
  /** Called when a worker serves no more, or has ended. */
  readonly onLeave: OnLeave;
}

/** The processes of all services. */
export class WorkerPool {
  /** The health monitor of serving workers. */
  readonly health: HealthMonitor;
  /** How the workers are stopped. */
  readonly stops: WorkerStops;
  /** When the replacements of ended workers may start. */
  readonly restarts: Restarts;
  readonly #ports: WorkerPoolPorts;
  readonly #reports: WorkerReports;
  readonly #running = new Map<Worker, RunningWorker>();
  readonly #counts: WorkerCounts;
  readonly #events: WorkerEventCounter;
  #nextWorkerId = 1;

  /**
   * @param ports The access to the system.
   * @param events What follows from the reports of workers.
   */
  constructor(ports: WorkerPoolPorts, { counters, onChange, onLeave }: WorkerPoolEvents) {
    this.#ports = ports;
    const counts = this.#counts = new WorkerCounts(ports.clock);
    const restarts = this.restarts = new Restarts(ports);
    const health = this.health = new HealthMonitor(ports);
    const events = this.#events = new WorkerEventCounter(ports.clock, counters);
    const changes = new StateChanges(ports, { restarts, events, onLeave });
    const stops = this.stops = new WorkerStops(ports, {
      ...{ changes, restarts, events },
      running: this.#running,
    });
    this.#reports = new WorkerReports(ports, {
      ...{ health, changes, restarts, stops, counts, events, onChange },
      onExit: (worker) => {
        this.#running.delete(worker);
        counts.drop(worker);
      },
    });
  }

  /**
   * Sends every process the reopened files of its standard outputs.
   *
   * @param outputs The reopened outputs.
   */
  changeOutputs(outputs: readonly ChangedOutput[]): void {
    for (const worker of this.#running.values()) worker.changeOutputs(outputs);
  }

  /** Asks all workers for their connections; fulfilled when they have answered or are too slow. */
  askCounts(): Promise<void> {
    return this.#counts.ask(this.#running);
  }

  /** The last counts of a worker. */
  countsOf(worker: Worker): ConnectionCounts | undefined {
    return this.#counts.of(worker);
  }

  /** Whether every process has ended. */
  get isEmpty(): boolean {
    return this.#running.size === 0;
  }

  /** Whether every process but detached ones has ended. */
  get isGone(): boolean {
    return this.#running.keys().every(({ life }) => life.state === "detached");
  }

  /** Whether a worker may still hold its listeners open. */
  holdsListeners(worker: Worker): boolean {
    const running = this.#running.get(worker);
    if (running === undefined || worker.life.state === "detached") return false;
    return running.keepsListeners || !saysDraining(worker.life);
  }

  /**
   * Starts one process.
   *
   * @param service The service.
   * @param version The version of the process.
   * @param assignment Its slot and listeners.
   * @returns Whether it was started. If not, the next start is delayed, or the rollout has failed.
   */
  start(service: Service, version: Version, assignment: Assignment): boolean {
    const { config } = version;
    const previous = version === service.candidate ? NO_HISTORY : this.restarts.take(service);
    const nowMs = this.#ports.clock.nowMs();
    const history = historyAtStart(previous, { config, nowMs });
    try {
      const life = starting(readyByMs(config, nowMs));
      this.#launch(service, version, { ...assignment, history, life });
    } catch (error) {
      const message = messageOf(error);
      if (version === service.candidate) service.candidate.failure = message;
      else {
        // Further starts would fail for the same reason.
        service.startAtMs = this.#ports.clock.nowMs() + EARLY_DEATH_MS;
        service.trouble = message;
        this.restarts.refuse(service, history, message);
      }
      return false;
    }
    if (version !== service.candidate) service.unservedSlots.delete(assignment.slot);
    return true;
  }

  /** Starts one standby. If that fails, the next one is delayed. */
  startStandby(service: Service, version: Version): void {
    try {
      const life = loading(readyByMs(version.config, this.#ports.clock.nowMs()));
      this.#launch(service, version, { ...NO_ASSIGNMENT, history: NO_HISTORY, life });
    } catch (error) {
      this.restarts.refuseStandby(service, messageOf(error));
    }
  }

  /**
   * Activates a standby, unless it has ended: then the next reconciliation finds another process.
   *
   * @param service Its service.
   * @param standby The standby, of the current version.
   * @param assignment Its slot and listeners.
   */
  activate(service: Service, standby: Worker, assignment: Assignment): void {
    const { config, pid } = standby;
    const nowMs = this.#ports.clock.nowMs();
    const lives = this.#running.get(standby)?.activate({
      fds: assignment.listeners.map(({ fd }) => fd),
      maxConnections: connectionLimit(config, this.#ports.random()),
    });
    // Its exit will be reported soon; it gets no slot.
    if (!lives) return limit(standby, nowMs + LOST_GRACE_MS);
    const history = historyAtStart(this.restarts.take(service), { config, nowMs });
    // A loaded standby shows that the program can load, so the back-off of standbys ends.
    if (standby.life.state === "waiting") service.standbyHistory = undefined;
    const limitMs = readyByMs(config, nowMs);
    activate(standby, { ...assignment, startedAtMs: nowMs, readyByMs: limitMs, history });
    service.unservedSlots.delete(assignment.slot);
    this.#ports.debug(`${service.id}: process ${pid}, a standby, takes over`);
  }

  #launch(
    service: Service,
    { config, generation }: Version,
    about: Pick<Worker, "slot" | "listeners" | "history" | "life">,
  ): void {
    const asStandby = about.life.state === "loading";
    const request = {
      service: config,
      generation,
      fds: about.listeners.map(({ fd }) => fd),
      ...(asStandby
        ? { isStandby: true }
        : { slot: about.slot, maxConnections: connectionLimit(config, this.#ports.random()) }),
    };
    const startedAtMs = this.#ports.clock.nowMs();
    const running = this.#ports.launcher.launch(
      request,
      this.#reports.of(service, () => worker),
    );
    const { pid } = running;
    const worker: Worker = {
      id: this.#nextWorkerId++,
      pid,
      generation,
      config,
      startedAtMs,
      ...about,
    };
    service.workers.add(worker);
    this.#events.started(service.id);
    this.#running.set(worker, running);
    const what = asStandby ? "standby process" : "process";
    this.#ports.debug(`${service.id}: new ${what} ${pid} of generation ${generation}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

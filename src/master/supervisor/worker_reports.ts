/**
 * What workers report, recorded in the model: loaded, ready, draining, detached, heartbeats, use,
 * lost, exited.
 *
 * @module
 */
import { formatDuration } from "../../config/duration.ts";
import { counted, EX_CONFIG } from "../../config/errors.ts";
import { describeExit, type ExitStatus } from "../../os/process/child_process.ts";
import { leaversOf, mostLeavers } from "../policy/capacity.ts";
import { DRAIN_GRACE_MS, LONGEST_DRAIN_MS, LOST_GRACE_MS } from "../policy/timeouts.ts";
import {
  isServing,
  isStandby,
  limit,
  saysDraining,
  shownState,
  type Worker,
} from "../policy/life.ts";
import type { Service } from "../policy/model.ts";
import { grow } from "../policy/scaling.ts";
import { missingLink } from "../services/unchanged_program.ts";
import type { ConnectionCounts, WorkerEvents } from "../workers/worker.ts";
import type { WorkerCounts } from "./connection_counts.ts";
import type { WorkerEventCounter } from "./worker_event_counter.ts";
import type { HealthMonitor } from "./health_monitor.ts";
import type { Ports } from "./ports.ts";
import type { Restarts } from "./restarts.ts";
import { type Departure, isCurrent, type StateChanges } from "./state_changes.ts";
import type { WorkerStops } from "./worker_stops.ts";

/** What the reports of workers use of the worker pool. */
export interface WorkerReportsOptions {
  readonly health: HealthMonitor;
  readonly changes: StateChanges;
  readonly restarts: Restarts;
  readonly stops: WorkerStops;
  readonly counts: WorkerCounts;
  readonly events: WorkerEventCounter;
  /** Called after each report; never from within a call of the pool. */
  onChange(service: Service): void;
  /** Called when a process has ended, before `onChange`. */
  onExit(worker: Worker): void;
}

/** Signals that end a process which was told to end, and the code of many programs after SIGTERM. */
const ENDING_SIGNALS: readonly (string | null)[] = ["SIGTERM", "SIGKILL", "SIGABRT"];
const EX_TERM = 143;

/** Whether a process that was told to end has ended otherwise: by a crash. */
function isUnexpectedEnd(state: Worker["life"]["state"], { code, signal }: ExitStatus): boolean {
  if (signal === "SIGKILL" && state === "draining") return true;
  if (signal !== null) return !ENDING_SIGNALS.includes(signal);
  return state === "draining" && code !== 0 && code !== EX_TERM;
}

/** How a process has ended. */
interface Exit {
  readonly status: ExitStatus;
  readonly lastWords?: string;
}

/** Records what workers report. */
export class WorkerReports {
  readonly #ports: Pick<Ports, "clock" | "timeOfDayMs" | "log" | "debug" | "tell">;
  readonly #options: WorkerReportsOptions;

  /**
   * @param ports The access to the system.
   * @param options The parts of the worker pool, and what follows from a report.
   */
  constructor(
    ports: Pick<Ports, "clock" | "timeOfDayMs" | "log" | "debug" | "tell">,
    options: WorkerReportsOptions,
  ) {
    this.#ports = ports;
    this.#options = options;
  }

  /**
   * The handlers of one worker's reports.
   *
   * @param service Its service.
   * @param worker Returns the worker, which is known once it runs.
   */
  of(service: Service, worker: () => Worker): WorkerEvents {
    const { health, onChange } = this.#options;
    return {
      onLoaded: () => this.#onLoaded(service, worker()),
      onReady: () => this.#onReady(service, worker()),
      onDraining: (seconds) => this.#onDraining(service, worker(), seconds),
      onDetach: () => this.#onDetach(service, worker()),
      // Later heartbeats change nothing before the next check.
      onHeartbeat: () => health.heartbeat(worker()) && onChange(service),
      onSpent: () => health.markForRecycling(worker(), "connections") && onChange(service),
      onUsed: (used) => this.#onUsed(service, worker(), used),
      onCounts: (counts) => this.#onCounts(worker(), counts),
      onLost: (error) => this.#onLost(service, worker(), error),
      onExit: (status, lastWords) => this.#onExit(service, worker(), { status, lastWords }),
    };
  }

  #onLoaded(service: Service, worker: Worker): void {
    const { changes, onChange } = this.#options;
    if (!changes.advance(worker, { type: "loaded", atMs: this.#nowMs })) return;
    this.#ports.debug(`${service.id}: loaded is process ${worker.pid}`);
    onChange(service);
  }

  #onReady(service: Service, worker: Worker): void {
    const { changes, health, onChange } = this.#options;
    // A worker that was told to stop may report this late: it has clients to finish.
    if (worker.life.state === "draining") {
      Object.assign(worker.life, { neverServed: false, wasReady: true });
    }
    const limits = health.limitsOf(worker);
    if (!changes.advance(worker, { type: "ready", atMs: this.#nowMs, ...limits })) return;
    this.#ports.debug(`${service.id}: ready is process ${worker.pid}`);
    this.#ports.tell({ type: "ready", service: service.id, pid: worker.pid });
    if (worker.generation === service.current?.generation) service.trouble = undefined;
    health.begin(worker);
    onChange(service);
  }

  #onDraining(service: Service, worker: Worker, seconds: number): void {
    const { stops, onChange } = this.#options;
    const isFirst = !saysDraining(worker.life);
    const { softstopAfterMs = 0, drainTimeoutMs } = worker.config;
    const longestMs = Math.max(LONGEST_DRAIN_MS, softstopAfterMs, drainTimeoutMs);
    const atMs = this.#nowMs + Math.min(seconds * 1000, longestMs) + DRAIN_GRACE_MS;
    const deadlineMs = stops.terminateAtMs(atMs);
    // Without a soft stop it drains of its own accord, and leaves its slot now.
    const event = { type: "softstop", deadlineMs, ofOwnAccord: true } as const;
    this.#leaves(service, worker, { event, how: "drains", inOrder: true });
    if ("saysDraining" in worker.life) worker.life.saysDraining = true;
    if (worker.life.state === "draining") {
      // The first announcement replaces the time to answer. Later ones can only shorten the
      // deadline, since a worker could postpone its end for ever otherwise.
      if (isFirst) worker.life.deadlineMs = deadlineMs;
      else limit(worker, atMs);
    }
    onChange(service);
  }

  #onDetach(service: Service, worker: Worker): void {
    const how = "has detached";
    if (this.#leaves(service, worker, { event: { type: "detach" }, how })) {
      this.#options.onChange(service);
    }
  }

  /** Records that a worker leaves its slot and runs on, and logs when too many have done so. */
  #leaves(service: Service, worker: Worker, departure: Departure): boolean {
    const { id } = service, before = leaversOf(service);
    if (!this.#options.changes.leave(service, worker, departure)) return false;
    if (worker.life.state === "detached") {
      this.#ports.log(`${id}: process ${worker.pid} ${departure.how}`);
    }
    const count = leaversOf(service);
    if (count > before && count === mostLeavers(service)) {
      this.#ports.log(
        `${id}: ${count} processes have detached or drain, without having been told to; ` +
          "none is started until one of them ends",
        "warn",
      );
    }
    return true;
  }

  #onUsed(service: Service, worker: Worker, used: boolean): void {
    if (isServing(worker)) {
      worker.life.used = used;
      worker.life.worked ||= used;
    }
    this.#ports.debug(`${service.id}: process ${worker.pid} is ${used ? "in use" : "idle"}`);
    if (used) grow(service);
    this.#options.onChange(service);
  }

  #onCounts(worker: Worker, told: ConnectionCounts): void {
    const { counts, events } = this.#options, before = counts.of(worker)?.accepted ?? 0;
    counts.onCounts(worker, told);
    if (told.accepted !== undefined) {
      events.accepted(worker, Math.max(0, told.accepted - before));
    }
  }

  #onLost(service: Service, worker: Worker, error?: Error): void {
    if (error !== undefined) {
      this.#ports.log(`${service.id}: process ${worker.pid}: ${error.message}`, "warn");
    }
    limit(worker, this.#nowMs + LOST_GRACE_MS);
    this.#options.onChange(service);
  }

  #onExit(service: Service, worker: Worker, { status, lastWords }: Exit): void {
    const { changes, restarts, events, onExit, onChange } = this.#options;
    const { log, debug, timeOfDayMs } = this.#ports;
    const { pid, life: { state }, startedAtMs } = worker, shown = shownState(worker.life);
    const wasServing = isServing(worker), wasStandby = isStandby(worker);
    const age = Math.round(this.#nowMs - startedAtMs), reason = describeExit(status);
    const how = `ended after ${formatDuration(age)}: ${reason}${this.#details(worker, lastWords)}`;
    const isFault = wasServing || changes.isLost(worker);
    if (isFault) this.#ports.tell({ type: "exit", service: service.id, pid, reason, ranMs: age });
    const wasCurrent = isCurrent(service, worker);
    if (wasCurrent && status.signal === null && status.code === EX_CONFIG) {
      restarts.fail(
        service,
        `process ${pid} says that its settings are wrong (exit code ${EX_CONFIG})`,
      );
    }
    const inOrder = status.signal === null && status.code === 0;
    changes.leave(service, worker, { event: { type: "exit" }, how, inOrder });
    const isCrash = isUnexpectedEnd(state, status);
    if (!changes.isFailedCandidate(worker)) {
      if (isFault) {
        service.restarts++;
        service.lastExit = { pid, reason, atMs: timeOfDayMs(), ranMs: age };
      }
      const isUnexpected = wasServing || wasStandby || isCrash && shown === state;
      events.ended(worker, { status, isUnexpected });
    }
    const next = wasCurrent ? `; ${restarts.nextStart(service, { ofStandby: wasStandby })}` : "";
    const level = inOrder ? "info" : "error";
    if (wasServing) log(`${service.id}: process ${pid} ${how}${next}`, level);
    else if (wasStandby) log(`${service.id}: process ${pid}, a standby, ${how}${next}`, level);
    else if (isCrash) log(`${service.id}: process ${pid}, which was ${shown}, ${how}`, "warn");
    else debug(`${service.id}: reaped process ${pid}, which was ${state}`);
    onExit(worker);
    onChange(service);
  }

  /** What is known of an ended process beside its exit code. */
  #details(worker: Worker, lastWords: string | undefined): string {
    const { accepted } = this.#options.counts.of(worker) ?? {};
    const served = accepted === undefined ? "" : `, ${counted(accepted, "connection")} served`;
    if (lastWords === undefined) return served;
    const lacks = worker.config.unchanged && missingLink(lastWords);
    return `${served}; its last words: ${lastWords}${lacks === undefined ? "" : `, ${lacks}`}`;
  }

  get #nowMs(): number {
    return this.#ports.clock.nowMs();
  }
}

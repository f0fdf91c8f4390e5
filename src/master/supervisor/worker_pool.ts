/**
 * The worker pool: starts, signals and reaps the processes of all services.
 *
 * It performs actions and records events in the model. It decides nothing: after each event the
 * supervisor reconciles the service.
 *
 * @module
 */
import { describeExit, type ExitStatus } from "../../os/process/child_process.ts";
import type { Clock } from "../../os/clock/clock.ts";
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import { EX_CONFIG, historyAtStart, NO_HISTORY } from "../policy/backoff.ts";
import { HealthMonitor, type HealthMonitorOptions } from "./health_monitor.ts";
import { Restarts } from "./restarts.ts";
import {
  DRAIN_GRACE_MS,
  EARLY_DEATH_MS,
  LOST_GRACE_MS,
  nextStartMs,
  SOFTSTOP_ANSWER_MS,
  TERMINATE_GRACE_MS,
  UNREADY_ANSWER_MS,
} from "../policy/decide.ts";
import { connectionLimit } from "../policy/recycling.ts";
import { grow } from "../policy/scaling.ts";
import { detachedOf, mostDetached } from "../policy/capacity.ts";
import { latenessOf, readyByMs, startLimitMs } from "../policy/readiness.ts";
import {
  activate,
  advance,
  hasPassed,
  isReady,
  isServing,
  isStandby,
  type LifeEvent,
  limit,
  loading,
  neverServed,
  saysDraining,
  starting,
  type Worker,
} from "../policy/life.ts";
import type { Service, Version } from "../policy/model.ts";
import type { Launcher, RunningWorker, WorkerEvents } from "../workers/worker.ts";

/** The ports of a worker pool. */
export interface WorkerPoolOptions extends HealthMonitorOptions {
  readonly launcher: Launcher;
  /** Writes a line to the log at debug level. */
  debug(text: string): void;
  /** Called after an event of a worker; never from within a call of the pool. */
  onChange(service: Service): void;
  /**
   * A worker serves no more, or has ended.
   *
   * @param worker The worker.
   * @param how `isExpected`: whether it was told to stop.
   */
  onLeave(worker: Worker, how: { readonly isExpected: boolean }): void;
}

/** The slot of a worker, and the listeners of that slot, which are borrowed. */
export type Assignment = Pick<Worker, "slot" | "listeners">;

/** The assignment of a standby before its activation. */
const NO_ASSIGNMENT: Assignment = { slot: 0, listeners: [] };

/** The processes of all services. */
export class WorkerPool {
  /** The health monitor of serving workers. */
  readonly health: HealthMonitor;
  readonly #options: WorkerPoolOptions;
  readonly #clock: Clock;
  readonly #restarts: Restarts;
  readonly #running = new Map<Worker, RunningWorker>();
  #nextWorkerId = 1;
  /** When every process is sent SIGTERM and SIGKILL, whatever its state is. */
  #terminateAtMs = Infinity;
  #killAtMs = Infinity;

  /** @param options The ports. */
  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#restarts = new Restarts(options);
    this.health = new HealthMonitor(options);
  }

  /**
   * Sends every process the reopened files of its standard outputs.
   *
   * @param outputs The reopened outputs.
   */
  changeOutputs(outputs: readonly ChangedOutput[]): void {
    for (const worker of this.#running.values()) worker.changeOutputs(outputs);
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
    const previous = version === service.candidate ? NO_HISTORY : this.#restarts.take(service);
    const nowMs = this.#clock.nowMs();
    const history = historyAtStart(previous, { config, nowMs });
    try {
      const life = starting(readyByMs(config, nowMs));
      this.#launch(service, version, { ...assignment, history, life });
    } catch (error) {
      const message = messageOf(error);
      if (version === service.candidate) service.candidate.failure = message;
      else {
        // Further starts would fail for the same reason.
        service.startAtMs = nowMs + EARLY_DEATH_MS;
        service.trouble = message;
        this.#restarts.refuse(service, history, message);
      }
      return false;
    }
    if (version !== service.candidate) service.unservedSlots.delete(assignment.slot);
    return true;
  }

  /** Starts one standby. If that fails, the next one is delayed. */
  startStandby(service: Service, version: Version): void {
    try {
      const life = loading(readyByMs(version.config, this.#clock.nowMs()));
      this.#launch(service, version, { ...NO_ASSIGNMENT, history: NO_HISTORY, life });
    } catch (error) {
      this.#restarts.refuseStandby(service, messageOf(error));
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
    const nowMs = this.#clock.nowMs();
    const lives = this.#running.get(standby)?.activate({
      fds: assignment.listeners.map(({ fd }) => fd),
      maxConnections: connectionLimit(config, this.#options.random()),
    });
    // Its exit will be reported soon; it gets no slot.
    if (!lives) return limit(standby, nowMs + LOST_GRACE_MS);
    const history = historyAtStart(this.#restarts.take(service), { config, nowMs });
    // A loaded standby shows that the program can load, so the back-off of standbys ends.
    if (standby.life.state === "waiting") service.standbyHistory = undefined;
    const limitMs = readyByMs(config, nowMs);
    activate(standby, { ...assignment, startedAtMs: nowMs, readyByMs: limitMs, history });
    service.unservedSlots.delete(assignment.slot);
    this.#options.debug(`${service.id}: process ${pid}, a standby, takes over`);
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
        : { maxConnections: connectionLimit(config, this.#options.random()) }),
    };
    const startedAtMs = this.#clock.nowMs();
    const running = this.#options.launcher.launch(
      request,
      this.#eventsOf(service, () => worker),
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
    this.#running.set(worker, running);
    const what = asStandby ? "standby process" : "process";
    this.#options.debug(`${service.id}: new ${what} ${pid} of generation ${generation}`);
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
    const mayHang = !isReady(worker) || worker.life.lostListener;
    const answerMs = mayHang ? UNREADY_ANSWER_MS : SOFTSTOP_ANSWER_MS;
    const deadlineMs = Math.min(this.#clock.nowMs() + answerMs, this.#terminateAtMs);
    const running = this.#advance(worker, { type: "softstop", deadlineMs });
    if (running === undefined) return;
    running.softstop(closing);
    if (!replaced) running.notReplaced();
  }

  /**
   * Terminates a worker: SIGTERM, then SIGKILL after a time. A worker that still serves counts as
   * lost, and its replacement is started like that of an ended one.
   */
  terminate(service: Service, worker: Worker): void {
    const isLate = startLimitMs(worker.life) <= this.#clock.nowMs();
    const isCandidate = worker.generation === service.candidate?.generation;
    const ofStandby = neverServed(worker.life);
    const how = isLate ? latenessOf(worker) : "is out of reach";
    if (!this.#leave(service, worker, { event: this.#signalled(), how })) return;
    // The outcome of a rollout is logged as a whole.
    if (isLate && !isCandidate) {
      const who = `process ${worker.pid}${ofStandby ? ", a standby," : ""}`;
      const next = this.#restarts.nextStart(service, { ofStandby });
      this.#options.log(`${service.id}: ${who} ${how}: it is told to end, and ${next}`);
    }
    this.#options.debug(`${service.id}: terminate of process ${worker.pid}`);
    this.#running.get(worker)?.kill("SIGTERM");
  }

  /**
   * Aborts a hanging worker: SIGABRT, which writes a core file where the limits allow it, then
   * SIGKILL after a time.
   */
  abort(service: Service, worker: Worker): void {
    const { pid, config: { supervision: { watchdogMs } } } = worker, seconds = watchdogMs / 1000;
    if (!this.#leave(service, worker, { event: this.#signalled(), how: "hangs" })) return;
    this.#options.log(
      `${service.id}: process ${pid} hangs: no heartbeat for ${seconds} s (server-watchdog)`,
    );
    this.#running.get(worker)?.kill("SIGABRT");
  }

  /** The event of a worker that is sent SIGTERM or SIGABRT now. */
  #signalled(): LifeEvent {
    const deadlineMs = Math.min(this.#clock.nowMs() + TERMINATE_GRACE_MS, this.#killAtMs);
    return { type: "terminate", deadlineMs };
  }

  /** Kills a worker that has not ended in time. */
  kill(worker: Worker): void {
    const running = this.#advance(worker, { type: "kill" });
    if (running === undefined) return;
    this.#options.log(
      `${worker.config.id}: process ${worker.pid} is killed: it did not end in time`,
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
    for (const worker of this.#running.keys()) {
      limit(worker, worker.life.state === "stopping" ? this.#killAtMs : this.#terminateAtMs);
    }
  }

  /** Tells all draining workers that they are not replaced. */
  hurryDraining(): void {
    for (const [{ life }, running] of this.#running) {
      if (life.state === "draining") running.notReplaced();
    }
  }

  #advance(worker: Worker, event: LifeEvent): RunningWorker | undefined {
    if (!this.#enters(worker, event)) return undefined;
    this.#options.debug(`${worker.config.id}: ${event.type} of process ${worker.pid}`);
    return this.#running.get(worker);
  }

  /** Changes a worker's state; an event that its state does not name is only logged. */
  #enters(worker: Worker, event: LifeEvent): boolean {
    const { life: { state }, pid, config: { id } } = worker;
    if (advance(worker, event)) return true;
    this.#options.debug(`${id}: process ${pid} is ${state}: ${event.type} changes nothing`);
    return false;
  }

  #eventsOf(service: Service, worker: () => Worker): WorkerEvents {
    const { id } = service;
    const { log, debug, onChange } = this.#options;
    return {
      onLoaded: () => {
        if (!this.#enters(worker(), { type: "loaded", atMs: this.#clock.nowMs() })) return;
        debug(`${id}: loaded is process ${worker().pid}`);
        onChange(service);
      },
      onReady: () => {
        const one = worker();
        // A worker that was told to stop may report this late: it has clients to finish.
        if (one.life.state === "draining") one.life.neverServed = false;
        const limits = this.health.limitsOf(one);
        const entered = this.#enters(one, { type: "ready", atMs: this.#clock.nowMs(), ...limits });
        if (!entered) return;
        if (one.generation === service.current?.generation) service.trouble = undefined;
        debug(`${id}: ready is process ${one.pid}`);
        this.health.begin(one);
        onChange(service);
      },
      onDraining: (seconds) => {
        const one = worker(), isFirst = !saysDraining(one.life);
        const atMs = this.#clock.nowMs() + seconds * 1000 + DRAIN_GRACE_MS;
        const deadlineMs = Math.min(atMs, this.#terminateAtMs);
        // The worker may drain of its own accord: then it leaves its slot now.
        const event = { type: "softstop", deadlineMs } as const;
        this.#leave(service, one, { event, how: "drains", inOrder: true });
        if ("saysDraining" in one.life) one.life.saysDraining = true;
        if (one.life.state === "draining") {
          // The first announcement replaces the time to answer. Later ones can only shorten the
          // deadline, since a worker could postpone its end for ever otherwise.
          if (isFirst) one.life.deadlineMs = deadlineMs;
          else limit(one, atMs);
        }
        onChange(service);
      },
      onDetach: () => {
        const event = { type: "detach" } as const;
        if (!this.#leave(service, worker(), { event, how: "has detached" })) return;
        log(`${id}: process ${worker().pid} has detached`);
        const count = detachedOf(service);
        if (count === mostDetached(service)) {
          log(`${id}: ${count} processes have detached; none is started until one of them ends`);
        }
        onChange(service);
      },
      // Later heartbeats change nothing before the next check.
      onHeartbeat: () => this.health.heartbeat(worker()) && onChange(service),
      onSpent: () => this.health.spend(worker()) && onChange(service),
      onUsed: (used) => {
        const one = worker();
        if (isServing(one)) Object.assign(one.life, { used, worked: used || one.life.worked });
        debug(`${id}: process ${worker().pid} is ${used ? "in use" : "idle"}`);
        if (used) grow(service);
        onChange(service);
      },
      onLost: (error) => {
        if (error !== undefined) log(`${id}: process ${worker().pid}: ${error.message}`);
        limit(worker(), this.#clock.nowMs() + LOST_GRACE_MS);
        onChange(service);
      },
      onExit: (status) => this.#onExit(service, worker(), status),
    };
  }

  #onExit(service: Service, worker: Worker, status: ExitStatus): void {
    const { log, debug, onChange } = this.#options;
    const { pid, life: { state }, startedAtMs } = worker;
    const age = Math.round(this.#clock.nowMs() - startedAtMs);
    const how = `ended after ${age} ms: ${describeExit(status)}`;
    if (isServing(worker)) log(`${service.id}: process ${pid} ${how}`);
    else if (isStandby(worker)) log(`${service.id}: process ${pid}, a standby, ${how}`);
    else debug(`${service.id}: reaped process ${pid}, which was ${state}`);
    if (isCurrent(service, worker) && status.signal === null && status.code === EX_CONFIG) {
      this.#restarts.fail(
        service,
        `process ${pid} says that its settings are wrong (exit code ${EX_CONFIG})`,
      );
    }
    const inOrder = status.signal === null && status.code === 0;
    this.#leave(service, worker, { event: { type: "exit" }, how, inOrder });
    this.#running.delete(worker);
    onChange(service);
  }

  /**
   * Advances a worker after an event that it has caused. If it has left early, its replacement is
   * delayed: a program that detaches or drains at its start would fill the machine otherwise. A
   * candidate worker that leaves before it has passed fails the rollout.
   */
  #leave(
    service: Service,
    worker: Worker,
    { event, how, inOrder }: {
      readonly event: LifeEvent;
      readonly how: string;
      /** Whether it ends with success or drains; false by default. */
      readonly inOrder?: boolean;
    },
  ): boolean {
    const nowMs = this.#clock.nowMs();
    const { candidate } = service;
    const isExpected = !isServing(worker);
    if (neverServed(worker.life) && isCurrent(service, worker)) {
      this.#restarts.leaveStandby(service, worker);
      // Connections in its queue still wait.
      if (isServing(worker)) service.unservedSlots.add(worker.slot);
    } else if (isServing(worker)) {
      const startAtMs = nextStartMs(worker, nowMs);
      if (isCurrent(service, worker)) {
        service.startAtMs = Math.max(service.startAtMs, startAtMs);
        service.trouble = `process ${worker.pid} ${how}`;
        this.#restarts.leave(service, worker, inOrder);
        service.unservedSlots.add(worker.slot);
      } else if (worker.generation === candidate?.generation) {
        candidate.startAtMs = Math.max(candidate.startAtMs, startAtMs);
        if (hasPassed(worker, nowMs)) candidate.left++;
        else candidate.failure ??= `process ${worker.pid} ${how}`;
      }
    }
    const hasChanged = this.#enters(worker, event);
    // An exited worker holds no listeners.
    if (event.type === "exit") service.workers.delete(worker);
    // Repeated messages of a process cause no further check.
    if (hasChanged) this.#options.onLeave(worker, { isExpected });
    return hasChanged;
  }
}

/** Whether a worker is of the current version, and serves or is a standby. */
function isCurrent({ current }: Service, worker: Worker): boolean {
  return (isServing(worker) || isStandby(worker)) && worker.generation === current?.generation;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * The crew: the processes of all services, from their start to their end. It does to them what it is
 * told, and enters into the tables what they do of themselves.
 *
 * It decides nothing: after each event the one who runs it looks at the service anew.
 *
 * @module
 */
import { describeExit, type ExitStatus } from "../../os/process/child_process.ts";
import type { Clock } from "../../os/clock/clock.ts";
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import { EX_CONFIG, NO_HISTORY, placeAtStart } from "../policy/backoff.ts";
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
import { latenessOf, startLimitMs } from "../policy/readiness.ts";
import {
  activate,
  advance,
  hasPassed,
  isServing,
  isStandby,
  limit,
  type Service,
  type Version,
  type Worker,
} from "../policy/model.ts";
import type { WorkerEvent } from "../policy/states.ts";
import type { Launcher, RunningWorker, WorkerEvents } from "../workers/worker.ts";

/** What a crew needs. */
export interface WorkerPoolOptions extends HealthMonitorOptions {
  readonly launcher: Launcher;
  /** Takes lines for the log that are only wanted in detail. */
  debug(text: string): void;
  /** A worker of the service has done something; never called from within a call of the crew. */
  onChange(service: Service): void;
  /**
   * A worker serves no more, or has ended.
   *
   * @param worker The worker.
   * @param how `isExpected`: whether it was told to go.
   */
  onLeave(worker: Worker, how: { readonly isExpected: boolean }): void;
}

/** What a worker is to serve: its slot, and the listeners of that slot, which are borrowed. */
export type Assignment = Pick<Worker, "slot" | "listeners">;

/** Where a standby is before it is enlisted. */
const NO_POST: Assignment = { slot: 0, listeners: [] };

/** The processes of all services. */
export class WorkerPool {
  /** The care for those that serve. */
  readonly care: HealthMonitor;
  readonly #options: WorkerPoolOptions;
  readonly #clock: Clock;
  readonly #restarts: Restarts;
  readonly #running = new Map<Worker, RunningWorker>();
  #nextWorkerId = 1;
  /** When every process is sent SIGTERM and SIGKILL, however it stands. */
  #terminateAtMs = Infinity;
  #killAtMs = Infinity;

  /** @param options What it needs. */
  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#restarts = new Restarts(options);
    this.care = new HealthMonitor(options);
  }

  /**
   * Hands every process the files of standard outputs that were opened anew.
   *
   * @param outputs Which they are.
   */
  changeOutputs(outputs: readonly ChangedOutput[]): void {
    for (const worker of this.#running.values()) worker.changeOutputs(outputs);
  }

  /** Whether every process has ended. */
  get isEmpty(): boolean {
    return this.#running.size === 0;
  }

  /** Whether every process has ended, but for those that have detached. */
  get isGone(): boolean {
    return this.#running.keys().every(({ state }) => state === "detached");
  }

  /**
   * Whether a worker may have its listeners open.
   *
   * @param worker The worker.
   */
  holdsListeners(worker: Worker): boolean {
    const running = this.#running.get(worker);
    if (running === undefined || worker.state === "detached") return false;
    return running.keepsListeners || !worker.saysDraining;
  }

  /**
   * Starts one process.
   *
   * @param service The service.
   * @param version Its version.
   * @param assignment What it is to serve.
   * @returns Whether it could be started. If not, the service waits, or its trial has failed.
   */
  start(service: Service, version: Version, assignment: Assignment): boolean {
    const { config } = version;
    const vacant = version === service.candidate ? NO_HISTORY : this.#restarts.take(service);
    const history = placeAtStart(vacant, { config, nowMs: this.#clock.nowMs() });
    try {
      this.#launch(service, version, { ...assignment, history, state: "starting" });
    } catch (error) {
      const message = messageOf(error);
      if (version === service.candidate) service.candidate.failure = message;
      else {
        // The others would fare no better.
        service.startAtMs = this.#clock.nowMs() + EARLY_DEATH_MS;
        service.trouble = message;
        this.#restarts.refuse(service, history, message);
      }
      return false;
    }
    if (version !== service.candidate) service.unservedSlots.delete(assignment.slot);
    return true;
  }

  /**
   * Starts one standby. If it can't be started, the next one waits.
   *
   * @param service The service.
   * @param version Its version in force.
   */
  startStandby(service: Service, version: Version): void {
    try {
      this.#launch(service, version, { ...NO_POST, history: NO_HISTORY, state: "loading" });
    } catch (error) {
      this.#restarts.refuseStandby(service, messageOf(error));
    }
  }

  /**
   * Has a standby serve, unless it has ended: then another look at the service finds somebody else.
   *
   * @param service Its service.
   * @param standby The standby, which is of the version in force.
   * @param assignment What it is to serve.
   */
  activate(service: Service, standby: Worker, assignment: Assignment): void {
    const { config, pid } = standby;
    const nowMs = this.#clock.nowMs();
    const lives = this.#running.get(standby)?.activate({
      fds: assignment.listeners.map(({ fd }) => fd),
      maxConnections: connectionLimit(config, this.#options.random()),
    });
    // The news of its end is on its way; it takes no place.
    if (!lives) return limit(standby, nowMs + LOST_GRACE_MS);
    const history = placeAtStart(this.#restarts.take(service), { config, nowMs });
    // What could load once can load again.
    if (standby.state === "waiting") service.standbyHistory = undefined;
    // One that still loads has what is left of its time for both, and one that waits begins anew.
    const readyByMs = standby.state === "loading" ? startLimitMs(standby) : undefined;
    activate(standby, { ...assignment, startedAtMs: nowMs, readyByMs, history });
    service.unservedSlots.delete(assignment.slot);
    this.#options.debug(`${service.id}: process ${pid}, a standby, takes over`);
  }

  #launch(
    service: Service,
    { config, generation }: Version,
    about: Pick<Worker, "slot" | "listeners" | "history" | "state">,
  ): void {
    const waits = about.state === "loading";
    const request = {
      service: config,
      generation,
      fds: about.listeners.map(({ fd }) => fd),
      ...(waits
        ? { isStandby: true }
        : { maxConnections: connectionLimit(config, this.#options.random()) }),
    };
    const startedAtMs = this.#clock.nowMs();
    const running = this.#options.launcher.launch(
      request,
      this.#listenerFor(service, () => worker),
    );
    const { pid } = running;
    const worker: Worker = {
      id: this.#nextWorkerId++,
      pid,
      generation,
      config,
      startedAtMs,
      ...(waits && { neverServed: true }),
      ...about,
    };
    service.workers.add(worker);
    this.#running.set(worker, running);
    const what = waits ? "standby process" : "process";
    this.#options.debug(`${service.id}: new ${what} ${pid} of generation ${generation}`);
  }

  /**
   * Tells a worker to accept no more, finish, and end.
   *
   * @param worker The worker.
   * @param options `replaced`: whether somebody serves its addresses after it. `closing`: the places
   * of those that are closed for good.
   */
  softstop(
    worker: Worker,
    { replaced, closing }: { readonly replaced: boolean; readonly closing: readonly number[] },
  ): void {
    const running = this.#advance(worker, "softstop");
    if (running === undefined) return;
    const mayHang = worker.readyAtMs === undefined || worker.lostListener === true;
    const answerMs = mayHang ? UNREADY_ANSWER_MS : SOFTSTOP_ANSWER_MS;
    worker.deadlineMs = Math.min(this.#clock.nowMs() + answerMs, this.#terminateAtMs);
    running.softstop(closing);
    if (!replaced) running.notReplaced();
  }

  /**
   * Ends a worker: SIGTERM, and SIGKILL if that does not help. One that still serves has been lost,
   * and leaves its place like one that ends.
   *
   * @param service Its service.
   * @param worker The worker.
   */
  terminate(service: Service, worker: Worker): void {
    const isLate = startLimitMs(worker) <= this.#clock.nowMs();
    const isTried = worker.generation === service.candidate?.generation;
    const how = isLate ? latenessOf(worker) : "is out of reach";
    if (!this.#leave(service, worker, { event: "terminate", how })) return;
    // What becomes of a trial is told as a whole.
    if (isLate && !isTried) {
      const who = `process ${worker.pid}${worker.neverServed ? ", a standby," : ""}`;
      const next = this.#restarts.nextStart(service, { ofStandby: worker.neverServed });
      this.#options.log(`${service.id}: ${who} ${how}: it is told to end, and ${next}`);
    }
    this.#options.debug(`${service.id}: terminate of process ${worker.pid}`);
    worker.deadlineMs = Math.min(this.#clock.nowMs() + TERMINATE_GRACE_MS, this.#killAtMs);
    this.#running.get(worker)?.kill("SIGTERM");
  }

  /**
   * Ends a worker that hangs: SIGABRT, which leaves a core where the limits allow one, and SIGKILL
   * if that does not help.
   *
   * @param service Its service.
   * @param worker The worker.
   */
  abort(service: Service, worker: Worker): void {
    const { pid, config: { supervision: { watchdogMs } } } = worker;
    if (!this.#leave(service, worker, { event: "terminate", how: "hangs" })) return;
    this.#options.log(
      `${service.id}: process ${pid} hangs: it was silent for more than ${watchdogMs / 1000} s`,
    );
    worker.deadlineMs = Math.min(this.#clock.nowMs() + TERMINATE_GRACE_MS, this.#killAtMs);
    this.#running.get(worker)?.kill("SIGABRT");
  }

  /**
   * Kills a worker that did not end in time.
   *
   * @param worker The worker.
   */
  kill(worker: Worker): void {
    const running = this.#advance(worker, "kill");
    if (running === undefined) return;
    worker.deadlineMs = undefined;
    this.#options.log(
      `${worker.config.id}: process ${worker.pid} is killed: it did not end in time`,
    );
    running.kill("SIGKILL");
  }

  /**
   * Bounds the life of all: to be followed by a look at each service.
   *
   * @param limits When each process is sent SIGTERM and SIGKILL, unless that is to come sooner.
   */
  limitAll(limits: { readonly terminateAtMs?: number; readonly killAtMs?: number }): void {
    this.#terminateAtMs = Math.min(this.#terminateAtMs, limits.terminateAtMs ?? Infinity);
    this.#killAtMs = Math.min(this.#killAtMs, limits.killAtMs ?? Infinity);
    for (const worker of this.#running.keys()) {
      limit(worker, worker.state === "stopping" ? this.#killAtMs : this.#terminateAtMs);
    }
  }

  /** Takes note that nobody takes the place of those that drain. */
  hurryDraining(): void {
    for (const [{ state }, running] of this.#running) {
      if (state === "draining") running.notReplaced();
    }
  }

  #advance(
    worker: Worker,
    event: "softstop" | "kill",
  ): RunningWorker | undefined {
    if (!this.#enters(worker, event)) return undefined;
    this.#options.debug(`${worker.config.id}: ${event} of process ${worker.pid}`);
    return this.#running.get(worker);
  }

  /** Changes a worker's state; an event that means nothing in it is logged alone. */
  #enters(worker: Worker, event: WorkerEvent): boolean {
    const { state, pid, config: { id } } = worker;
    if (advance(worker, event)) return true;
    this.#options.debug(`${id}: ignored ${event} of process ${pid}, which is ${state}`);
    return false;
  }

  #listenerFor(service: Service, worker: () => Worker): WorkerEvents {
    const { id } = service;
    const { log, debug, onChange } = this.#options;
    return {
      onLoaded: () => {
        if (!this.#enters(worker(), "loaded")) return;
        worker().loadedAtMs = this.#clock.nowMs();
        debug(`${id}: loaded is process ${worker().pid}`);
        onChange(service);
      },
      onReady: () => {
        // Also where it was told to go meanwhile: then it has clients to finish.
        delete worker().neverServed;
        if (!this.#enters(worker(), "ready")) return;
        worker().readyAtMs = this.#clock.nowMs();
        if (worker().generation === service.current?.generation) service.trouble = undefined;
        debug(`${id}: ready is process ${worker().pid}`);
        this.care.begin(worker());
        onChange(service);
      },
      onDraining: (seconds) => {
        const isFirst = !worker().saysDraining;
        worker().saysDraining = true;
        // It may also have been its own idea: then it gives up its place now.
        this.#leave(service, worker(), { event: "softstop", how: "drains", inOrder: true });
        if (worker().state === "draining") {
          const atMs = this.#clock.nowMs() + seconds * 1000 + DRAIN_GRACE_MS;
          // Its first word takes the place of the time for an answer; a later one brings its end no
          // further away, else it would never come.
          if (isFirst) worker().deadlineMs = Math.min(atMs, this.#terminateAtMs);
          else limit(worker(), atMs);
        }
        onChange(service);
      },
      onDetach: () => {
        if (!this.#leave(service, worker(), { event: "detach", how: "has detached" })) return;
        worker().deadlineMs = undefined;
        log(`${id}: process ${worker().pid} has detached`);
        const count = detachedOf(service);
        if (count === mostDetached(service)) {
          log(`${id}: ${count} processes have detached; none is started until one of them ends`);
        }
        onChange(service);
      },
      // Later ones change nothing before the next look.
      onHeartbeat: () => this.care.heartbeat(worker()) && onChange(service),
      onSpent: () => this.care.spend(worker()) && onChange(service),
      onUsed: (used) => {
        worker().used = used;
        worker().worked ||= used;
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
    const { pid, state, startedAtMs } = worker;
    const age = Math.round(this.#clock.nowMs() - startedAtMs);
    const how = `ended after ${age} ms: ${describeExit(status)}`;
    if (isServing(worker)) log(`${service.id}: process ${pid} ${how}`);
    else if (isStandby(worker)) log(`${service.id}: process ${pid}, a standby, ${how}`);
    else debug(`${service.id}: reaped process ${pid}, which was ${state}`);
    if (isOurs(service, worker) && status.signal === null && status.code === EX_CONFIG) {
      this.#restarts.fail(
        service,
        `process ${pid} says that its settings are wrong (exit code ${EX_CONFIG})`,
      );
    }
    const inOrder = status.signal === null && status.code === 0;
    this.#leave(service, worker, { event: "exit", how, inOrder });
    this.#running.delete(worker);
    onChange(service);
  }

  /**
   * Advances a worker by something that it did of itself. If it gives its place up so soon, its
   * successor waits: else one that detaches or drains at its start would fill the machine. If it was
   * to prove its version, it has not.
   */
  #leave(
    service: Service,
    worker: Worker,
    { event, how, inOrder }: {
      readonly event: Exclude<WorkerEvent, "ready">;
      readonly how: string;
      /** Whether it ends as a program does that has done its work; by default not. */
      readonly inOrder?: boolean;
    },
  ): boolean {
    const nowMs = this.#clock.nowMs();
    const { candidate } = service;
    const isExpected = !isServing(worker);
    if (worker.neverServed && isOurs(service, worker)) {
      this.#restarts.leaveStandby(service, worker);
      // Whatever waits in its queue is still there.
      if (isServing(worker)) service.unservedSlots.add(worker.slot);
    } else if (isServing(worker)) {
      const startAtMs = nextStartMs(worker, nowMs);
      if (isOurs(service, worker)) {
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
    const isNews = this.#enters(worker, event);
    // One that has ended has no listeners any more.
    if (event === "exit") service.workers.delete(worker);
    // What a process repeats is not looked after again.
    if (isNews) this.#options.onLeave(worker, { isExpected });
    return isNews;
  }
}

/** Whether a worker is of the version in force, and fills a place or is a standby. */
function isOurs({ current }: Service, worker: Worker): boolean {
  return (isServing(worker) || isStandby(worker)) && worker.generation === current?.generation;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * The supervisor: keeps the processes that the configuration asks for.
 *
 * All state is here and in the tables; each event ends in {@linkcode Supervisor.#settle}, which
 * asks the policy what to do for the one service that the event concerns, and does it. Nothing is
 * awaited in between, so that no event ever meets a state half changed.
 *
 * @module
 */
import { ConfigError, type Problem } from "../config/errors.ts";
import type { ServiceConfig } from "../config/service.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { ExitStatus } from "../os/child_process.ts";
import type { Launcher, RunningWorker, WorkerListener } from "./worker_process.ts";
import { type ListenerPort, ListenerTable } from "./listeners.ts";
import {
  type Action,
  decide,
  DRAIN_GRACE_MS,
  EARLY_DEATH_MS,
  LOST_GRACE_MS,
  nextStartMs,
  TERMINATE_GRACE_MS,
} from "./policy.ts";
import { planReload, type ReloadPlan } from "./reload_plan.ts";
import { advance, isServing, type Service, type Worker } from "./tables.ts";

/** The supervisor's only ways to the system. */
export interface SupervisorPorts {
  readonly clock: Clock;
  readonly launcher: Launcher;
  readonly listeners: ListenerPort;
  /** Takes lines for the log. */
  log(text: string): void;
  /** Takes lines for the log that are only wanted in detail. */
  debug?(text: string): void;
}

/** Keeps the processes that the configuration asks for. */
export class Supervisor {
  readonly #clock: Clock;
  readonly #launcher: Launcher;
  readonly #log: (text: string) => void;
  readonly #debug: (text: string) => void;
  readonly #listeners: ListenerTable;
  readonly #services = new Map<string, Service>();
  readonly #running = new Map<Worker, RunningWorker>();
  readonly #timers = new Map<Service, Timer>();
  readonly #stopped = Promise.withResolvers<void>();
  #generation = 0;
  #nextWorkerId = 1;
  #stopping = false;
  /** When a stop is over, however it stands. */
  #killAtMs = Infinity;

  /** @param ports The ways to the system. */
  constructor(ports: SupervisorPorts) {
    this.#clock = ports.clock;
    this.#launcher = ports.launcher;
    this.#log = ports.log;
    this.#debug = (text) => ports.debug?.(text);
    this.#listeners = new ListenerTable(ports.listeners);
  }

  /**
   * Puts a configuration into force: opens and closes listeners, starts the new processes, and
   * soft-stops the old ones of each service as soon as all of its new ones are ready.
   *
   * @param wanted All services. Their addresses are known to be different.
   * @param known What is wrong with the configuration as it is. If there is anything, this call only
   * finds what else is: listeners that can't be opened.
   * @returns What the change amounts to.
   * @throws {ConfigError} With all that is wrong; then nothing has changed.
   */
  apply(wanted: readonly ServiceConfig[], known: readonly Problem[] = []): ReloadPlan {
    const plan = planReload(
      { listeners: this.#listeners.keys(), services: this.#activeServiceIds() },
      wanted,
    );
    const change = this.#listeners.prepare(wanted);
    const problems = [...known, ...change.problems];
    if (problems.length > 0) {
      change.undo();
      throw new ConfigError(problems);
    }
    change.commit();
    this.#generation++;
    const unnamed = new Set(this.#services.values());
    for (const config of wanted) unnamed.delete(this.#renew(config));
    for (const service of unnamed) service.retired = true;
    for (const service of this.#services.values()) this.#settle(service);
    return plan;
  }

  /**
   * Stops everything: soft-stops all processes and waits for them.
   *
   * @param timeoutMs What is still there after this is sent SIGKILL, and SIGTERM
   * {@linkcode TERMINATE_GRACE_MS} before, or at once where that is longer.
   * @returns Fulfilled when every process has ended, but for detached ones, and every listener is
   * closed.
   */
  stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    this.#killAtMs = this.#clock.nowMs() + timeoutMs;
    for (const service of this.#services.values()) service.retired = true;
    for (const [worker, running] of this.#running) {
      if (worker.state === "draining") running.notReplaced();
    }
    this.#limitAll(this.#killAtMs - TERMINATE_GRACE_MS);
    // Connections that come from now on would wait in a queue that nobody reads.
    this.#listeners.closeAll();
    this.#endIfDone();
    return this.#stopped.promise;
  }

  /** Shortens the wait of {@linkcode stop}, if it is under way: SIGTERM to all processes now. */
  hasten(): void {
    if (this.#stopping) this.#limitAll(this.#clock.nowMs());
  }

  #limitAll(terminateAtMs: number): void {
    for (const service of [...this.#services.values()]) {
      for (const worker of service.workers) {
        limit(worker, worker.state === "stopping" ? this.#killAtMs : terminateAtMs);
      }
      this.#settle(service);
    }
  }

  #activeServiceIds(): Set<string> {
    const active = [...this.#services.values()].filter((service) => !service.retired);
    return new Set(active.map((service) => service.config.id));
  }

  /** Gives a service its new settings, or a place in the table. */
  #renew(config: ServiceConfig): Service {
    let service = this.#services.get(config.id);
    const generation = this.#generation;
    if (service === undefined) {
      service = { config, generation, retired: false, startAtMs: 0, workers: new Set() };
      this.#services.set(config.id, service);
    } else {
      // New settings may have mended what made the old processes die early.
      Object.assign(service, { config, generation, retired: false, startAtMs: 0 });
    }
    return service;
  }

  /** Does what there is to do for a service, until nothing is left but to wait. */
  #settle(service: Service): void {
    this.#timers.get(service)?.cancel();
    this.#timers.delete(service);
    for (;;) {
      const nowMs = this.#clock.nowMs();
      const { actions, wakeAtMs } = decide(service, nowMs);
      for (const action of actions) this.#perform(service, action);
      if (actions.length > 0) continue;
      if (wakeAtMs !== undefined) {
        const timer = this.#clock.setTimer(wakeAtMs - nowMs, () => this.#settle(service));
        this.#timers.set(service, timer);
      }
      break;
    }
    if (service.retired && service.workers.size === 0) this.#services.delete(service.config.id);
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (!this.#stopping) return;
    const waiting = this.#running.keys().some((worker) => worker.state !== "detached");
    if (!waiting) this.#stopped.resolve();
  }

  #perform(service: Service, action: Action): void {
    if (action.do === "start") {
      for (let count = action.count; count > 0; count--) {
        if (!this.#start(service)) break;
      }
      return;
    }
    const { worker } = action;
    const running = this.#running.get(worker)!;
    if (!advance(worker, action.do)) return;
    this.#debug(`${service.config.id}: ${action.do} of process ${worker.pid}`);
    switch (action.do) {
      case "softstop":
        running.softstop();
        if (this.#stopping || this.#isUnheard(service)) running.notReplaced();
        return;
      case "terminate":
        worker.deadlineMs = Math.min(this.#clock.nowMs() + TERMINATE_GRACE_MS, this.#killAtMs);
        return running.kill("SIGTERM");
      case "kill":
        worker.deadlineMs = undefined;
        this.#log(`${service.config.id}: process ${worker.pid} is killed: it did not end in time`);
        return running.kill("SIGKILL");
    }
  }

  /** Whether nobody listens on the addresses of a service any more. */
  #isUnheard({ retired, config }: Service): boolean {
    const open = this.#listeners.keys();
    return retired && !config.endpoints.some(({ endpoint }) => open.has(endpoint.key));
  }

  /** Starts one process; false when it can't be started, which is tried again later. */
  #start(service: Service): boolean {
    const { config, generation } = service;
    const startedAtMs = this.#clock.nowMs();
    const fds = this.#listeners.descriptors(config);
    try {
      const running = this.#launcher.launch(
        { service: config, generation, fds },
        this.#listenerFor(service, () => worker),
      );
      const worker: Worker = {
        id: this.#nextWorkerId++,
        pid: running.pid,
        generation,
        startedAtMs,
        state: "starting",
      };
      service.workers.add(worker);
      this.#debug(`${config.id}: new process ${worker.pid} of generation ${generation}`);
      this.#running.set(worker, running);
      return true;
    } catch (error) {
      service.startAtMs = this.#clock.nowMs() + EARLY_DEATH_MS;
      this.#log(`${config.id}: ${messageOf(error)}; it is tried again in ${EARLY_DEATH_MS} ms`);
      return false;
    }
  }

  #listenerFor(service: Service, worker: () => Worker): WorkerListener {
    return {
      onReady: () => {
        if (!advance(worker(), "ready")) return;
        this.#debug(`${service.config.id}: ready is process ${worker().pid}`);
        this.#settle(service);
      },
      onDraining: (seconds) => {
        // It may also have been its own idea: then it gives up its place now.
        this.#leave(service, worker(), "softstop");
        limit(worker(), this.#clock.nowMs() + seconds * 1000 + DRAIN_GRACE_MS);
        this.#settle(service);
      },
      onDetach: () => {
        if (!this.#leave(service, worker(), "detach")) return;
        worker().deadlineMs = undefined;
        this.#log(`${service.config.id}: process ${worker().pid} has detached`);
        this.#settle(service);
      },
      onLost: (error) => {
        if (error !== undefined) {
          this.#log(`${service.config.id}: process ${worker().pid}: ${error.message}`);
        }
        limit(worker(), this.#clock.nowMs() + LOST_GRACE_MS);
        this.#settle(service);
      },
      onExit: (status) => this.#onExit(service, worker(), status),
    };
  }

  #onExit(service: Service, worker: Worker, status: ExitStatus): void {
    if (isServing(worker)) {
      const age = Math.round(this.#clock.nowMs() - worker.startedAtMs);
      this.#log(
        `${service.config.id}: process ${worker.pid} ended after ${age} ms: ${how(status)}`,
      );
    } else {
      this.#debug(`${service.config.id}: reaped process ${worker.pid}, which was ${worker.state}`);
    }
    this.#leave(service, worker, "exit");
    service.workers.delete(worker);
    this.#running.delete(worker);
    this.#settle(service);
  }

  /**
   * Advances a worker by something that it did of itself. If it gives its place up so soon, its
   * successor waits: else one that detaches or drains at its start would fill the machine.
   */
  #leave(service: Service, worker: Worker, event: "softstop" | "detach" | "exit"): boolean {
    if (isServing(worker) && worker.generation === service.generation) {
      const startAtMs = nextStartMs(worker, this.#clock.nowMs());
      service.startAtMs = Math.max(service.startAtMs, startAtMs);
    }
    return advance(worker, event);
  }
}

/** Sets a worker's deadline, unless it has an earlier one, or can do nothing more about it. */
function limit(worker: Worker, deadlineMs: number): void {
  if (worker.state === "detached" || worker.state === "killing") return;
  worker.deadlineMs = Math.min(worker.deadlineMs ?? Infinity, deadlineMs);
}

function how({ code, signal }: ExitStatus): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

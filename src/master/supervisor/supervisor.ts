/**
 * The supervisor: keeps the processes that the configuration asks for.
 *
 * All state is in the model, in {@linkcode ServiceTable} and in {@linkcode ListenerTable}. Each event
 * ends in a reconciliation of the affected service: see {@linkcode Reconciler}.
 *
 * @module
 */
import type { UnreadyService } from "../../control/messages.ts";
import type { ServiceStatus } from "../../control/status.ts";
import type { Problem } from "../../config/errors.ts";
import { keysOf } from "../../config/endpoints.ts";
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import { Counters } from "../counters/counters.ts";
import { openError } from "../listeners/open_error.ts";
import { ListenerRepair } from "../listeners/repair.ts";
import { ListenerTable } from "../listeners/table.ts";
import { ListenerWatches } from "../listeners/watches.ts";
import { TERMINATE_GRACE_MS } from "../policy/timeouts.ts";
import type { Decision } from "../policy/decision.ts";
import type { Listener } from "../policy/listener.ts";
import type { UndoneReload } from "../policy/reload_report.ts";
import { isServing, type Worker } from "../policy/life.ts";
import { freshStart, type Service } from "../policy/model.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import { planReload, type ReloadPlan } from "../policy/reload_plan.ts";
import { isServiceIdle } from "../policy/scaling.ts";
import { Assignments } from "./assignments.ts";
import { ColdStart } from "./cold_start.ts";
import { Rollouts } from "./commit_or_rollback.ts";
import { IdleWatch } from "./idle_watch.ts";
import { ListenerRelease } from "./listener_release.ts";
import type { Ports } from "./ports.ts";
import { Reconciler } from "./reconciler.ts";
import { ServiceTable } from "./service_table.ts";
import { ServiceScale } from "./service_scale.ts";
import { type SnapshotOptions, statusOf } from "./snapshot.ts";
import { WorkerPool } from "./worker_pool.ts";

/** A reload that has begun. */
export interface Reload {
  /** The plan of the reload. */
  readonly plan: ReloadPlan;
  /** The undone reloads, none when all services have passed. Never rejects. */
  readonly outcome: Promise<readonly UndoneReload[]>;
}

/** A start that has begun. */
export interface Start {
  /** The plan of the start. */
  readonly plan: ReloadPlan;
  /** Which services have become ready. */
  readonly coldStart: ColdStart;
}

/** Keeps the processes that the configuration asks for. */
export class Supervisor {
  readonly #ports: Ports;
  readonly #counters: Counters;
  readonly #services = new ServiceTable();
  readonly #table: ListenerTable;
  readonly #repair: ListenerRepair;
  readonly #pool: WorkerPool;
  readonly #release: ListenerRelease;
  readonly #reconciler: Reconciler;
  readonly #rollouts: Rollouts;
  readonly #idleWatch: IdleWatch;
  /** Changes the numbers of processes until the next reload. */
  readonly scale: ServiceScale;
  #stopped = Promise.withResolvers<void>();
  #coldStart?: ColdStart;
  #generation: number;
  /** How the supervisor ends, if it does: another master takes over, or none. */
  #ending?: "retired" | "stopped";

  /**
   * @param ports The access to the system.
   * @param options `generation`: that of the old master that this one replaces. `counters`: counts what
   * happens.
   */
  constructor(ports: Ports, { generation = 0, counters = new Counters() }: {
    readonly generation?: number;
    readonly counters?: Counters;
  } = {}) {
    this.#ports = ports;
    this.#counters = counters;
    this.#generation = generation;
    const services = this.#services;
    const reconcile = (service: Service) => this.#reconciler.reconcile(service);
    const watches = new ListenerWatches(
      ports.watchListener,
      (listener) => this.#repair.onShutDown(listener),
    );
    const table = this.#table = new ListenerTable(ports.listeners, watches);
    this.#repair = new ListenerRepair({
      ...{ clock: ports.clock, log: ports.log, table },
      isHeld: (listener) => services.isAssigned(listener),
      onRepaired: (key, replaced) => this.#onRepaired(key, new Set(replaced)),
    });
    const pool = this.#pool = new WorkerPool(ports, {
      counters,
      onChange: reconcile,
      onLeave: ({ listeners, config }, { isExpected }) =>
        isExpected
          ? this.#repair.lookAfterEnd(keysOf(config))
          : this.#repair.lookAfterFailure(listeners),
    });
    const release = this.#release = new ListenerRelease({ table, services, pool });
    this.#reconciler = new Reconciler(ports, {
      ...{ pool, release, assignments: new Assignments(table, this.#repair) },
      isServed: (worker) => this.#isServed(worker),
      onReconciled: (service, decision) => this.#onReconciled(service, decision),
    });
    this.#rollouts = new Rollouts(ports, {
      ...{ services, table, release, reconcile },
      outcomeOf: (service) => this.#reconciler.decide(service).outcome,
    });
    this.#idleWatch = new IdleWatch(ports, {
      watch: (config, onWaiting) => watches.expect(table.allListeners(config), onWaiting),
      onWaiting: (service, listener) => this.#wake(service, listener),
    });
    this.scale = new ServiceScale({
      ...{ services, reconcile, log: ports.log },
      isEnding: () => this.#ending !== undefined,
    });
  }

  /** The ids of the current services. */
  get serving(): ReadonlySet<string> {
    return new Set(this.current.map(({ id }) => id));
  }

  /**
   * What a reload would do; changes nothing.
   *
   * @param wanted All services of the next configuration.
   * @param only See {@linkcode planReload}.
   */
  plan(wanted: readonly ResolvedService[], only?: ReadonlySet<string>): ReloadPlan {
    const services = this.#services.current();
    const failed = new Set(this.failed.map(({ id }) => id));
    const scaled = new Set(this.#services.all().flatMap(({ id, extra }) => extra === 0 ? [] : id));
    return planReload({ listeners: this.#table.keys(), services, failed, scaled }, wanted, only);
  }

  /**
   * Applies the first configuration: opens the listeners and starts all processes.
   *
   * @param wanted All services; their addresses are known to be distinct.
   * @param known The problems found so far. If there are any, this call only looks for more
   * problems: listeners that can't be opened.
   * @returns The start.
   * @throws {ConfigError} With all problems; nothing has changed then.
   */
  start(wanted: readonly ResolvedService[], known: readonly Problem[] = []): Start {
    const plan = this.#open(wanted, known);
    for (const config of wanted) {
      this.#services.of(config.id).current = { config, generation: this.#generation };
      this.#table.keep(config);
    }
    this.#reconcileAll();
    this.#coldStart = new ColdStart(this.#services.all());
    return { plan, coldStart: this.#coldStart };
  }

  /**
   * Rolls a configuration out: opens its listeners and starts candidate workers beside the current
   * ones. A service whose candidate passes switches to it, and its old workers are soft-stopped. A
   * service whose candidate fails keeps its current version.
   *
   * @param wanted As for {@linkcode start}.
   * @param known As for {@linkcode start}.
   * @param options `together`: whether all services succeed or fail together. `only`: the ids of
   * the services to change; without it all of them.
   * @returns The reload; the next one may begin when its outcome is known.
   * @throws {ConfigError} With all problems; nothing has changed then.
   */
  reload(
    wanted: readonly ResolvedService[],
    known: readonly Problem[] = [],
    { together = false, only }: {
      readonly together?: boolean;
      readonly only?: ReadonlySet<string>;
    } = {},
  ): Reload {
    if (this.#rollouts.isUnderWay) throw new Error("Cannot reload: another reload is under way");
    const plan = this.#open(wanted, known, only);
    const configs = new Map(wanted.map((config) => [config.id, config]));
    const groups = together ? [plan.groups.flat()] : plan.groups;
    this.#rollouts.prepare(groups, { configs, generation: this.#generation });
    for (const id of only === undefined ? plan.left : []) {
      const service = this.#services.of(id), { demand } = service;
      // A reload resets the restart history, but not the demand.
      Object.assign(service, freshStart(this.#ports.clock.nowMs()), { demand });
      this.#reconciler.reconcile(service);
    }
    return { plan, outcome: this.#rollouts.start() };
  }

  /**
   * Stops everything: soft-stops all processes and waits for them.
   *
   * @param timeoutMs The remaining processes are sent SIGKILL after this time, and SIGTERM
   * {@linkcode TERMINATE_GRACE_MS} earlier, or at once if the time is shorter than that.
   * @returns Fulfilled when all processes but detached ones have ended, and every listener is
   * closed.
   */
  stop(timeoutMs: number): Promise<void> {
    this.#ending = "stopped";
    this.#pool.stops.hurryDraining();
    const killAtMs = this.#ports.clock.nowMs() + timeoutMs;
    this.#pool.stops.limitAll({ terminateAtMs: killAtMs - TERMINATE_GRACE_MS, killAtMs });
    this.#table.releaseAll();
    this.#repair.stop();
    this.#drop("the master stops");
    this.#endIfDone();
    return this.#stopped.promise;
  }

  /**
   * Gives up, after {@linkcode stop}, the addresses whose listeners some processes still hold, so
   * that another program can listen there.
   */
  surrender(): Promise<void> {
    return this.#table.surrender();
  }

  /** Shortens a {@linkcode stop} that is under way: sends SIGTERM to all processes now. */
  shortenStop(): void {
    if (this.#ending !== "stopped") return;
    this.#pool.stops.limitAll({ terminateAtMs: this.#ports.clock.nowMs() });
    this.#reconcileAll();
  }

  /**
   * Hands over to another master: soft-stops all processes, which may drain as long as they need,
   * and waits for detached ones too. {@linkcode stop} can still be called, and limits that.
   *
   * @param dropped The keys of the addresses that the other master does not serve; they are closed.
   * @returns The other listeners by the keys of their addresses; the caller owns them.
   */
  retire(dropped: readonly string[]): ReadonlyMap<string, readonly Listener[]> {
    this.#ending = "retired";
    for (const key of dropped) this.#table.releaseKey(key);
    this.#table.handOver();
    this.#repair.stop();
    this.#drop("a new master has taken over");
    this.#table.closeReleased();
    const left = this.#table.takeAll();
    this.#endIfDone();
    return left;
  }

  /**
   * Resumes after {@linkcode retire}: opens the listeners and starts the processes. Draining
   * processes continue to drain.
   *
   * @param wanted The value of {@linkcode current} before.
   * @returns The start.
   * @throws {ConfigError} With all problems; nothing has changed then.
   */
  resume(wanted: readonly ResolvedService[]): Start {
    const ending = this.#ending, stopped = this.#stopped;
    this.#ending = undefined;
    this.#stopped = Promise.withResolvers();
    try {
      return this.start(wanted);
    } catch (error) {
      this.#ending = ending;
      this.#stopped = stopped;
      throw error;
    }
  }

  /** The services that have failed, and why. */
  get failed(): readonly UnreadyService[] {
    return this.#services.failed();
  }

  /** The current services. */
  get current(): readonly ResolvedService[] {
    return this.#services.current();
  }

  /** The ids of the services whose reload has no outcome yet. */
  get rollingOut(): readonly string[] {
    return this.#rollouts.open;
  }

  /**
   * Fulfilled when a service that was removed has no process any more but detached ones, which run on
   * for as long as they want, or has come back.
   */
  removed(id: string): Promise<void> {
    return this.#services.when(id, (service) => service === undefined || !isEnding(service));
  }

  /** The status of each service, with connections as its processes tell them now. */
  async snapshot(useOf: SnapshotOptions["useOf"]): Promise<ServiceStatus[]> {
    await this.#pool.askCounts();
    const nowMs = this.#ports.clock.nowMs();
    const countsOf = (worker: Worker) => this.#pool.countsOf(worker);
    const countersOf = (id: string) => this.#counters.of(id);
    return this.#services.all().map((service) =>
      statusOf(service, { nowMs, countsOf, countersOf, useOf })
    );
  }

  /** Asks the processes for the connections that they have accepted, before they end. */
  countConnections(): void {
    void this.#pool.askCounts();
  }

  /** Whether a service is one of the configuration, or has processes. */
  knows(id: string): boolean {
    return this.#services.get(id) !== undefined;
  }

  /**
   * Sends every process the reopened files of its standard outputs.
   *
   * @param outputs The reopened outputs.
   */
  changeOutputs(outputs: readonly ChangedOutput[]): void {
    this.#pool.changeOutputs(outputs);
  }

  /** Fulfilled when every process has ended after {@linkcode stop} or {@linkcode retire}. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** The number of the newest generation. */
  get generation(): number {
    return this.#generation;
  }

  /** All open listeners; those of one address in the kernel's order. Borrowed. */
  get listeners(): readonly Listener[] {
    return this.#table.all();
  }

  /** Repairs the shared listeners that processes have changed. */
  lookAfterListeners(): void {
    this.#repair.lookAtAll();
  }

  /** Recycles processes whose listeners were replaced, and steers connections anew. */
  #onRepaired(key: string, closed: ReadonlySet<Listener>): void {
    for (const service of this.#services.all()) {
      const usesKey = service.current !== undefined && keysOf(service.current.config).includes(key);
      const stale = [...service.workers].filter(({ listeners }) =>
        listeners.some((listener) => closed.has(listener))
      );
      for (const worker of stale) {
        if (isServing(worker)) worker.life.lostListener = true;
        this.#pool.health.markForRecycling(worker, "listener");
      }
      // Not at once: this may run in the middle of an event of the same service.
      if (usesKey || stale.length > 0) this.#reconciler.reconcileSoon(service);
    }
  }

  /** Starts a process of an idle service, in one of whose queues a connection waits. */
  #wake(service: Service, listener: Listener): void {
    this.#ports.debug(`${service.id}: a connection waits, and no process runs`);
    service.demand = 1;
    // The new process must use the queue in which the connection waits.
    service.unservedSlots.add(this.#table.slotOf(service.current!.config, listener));
    this.#reconciler.reconcile(service);
  }

  /** Removes all versions, so that every process stops. */
  #drop(why: string): void {
    this.#rollouts.abandon(why);
    for (const service of this.#services.all()) service.current = undefined;
    this.#reconcileAll();
  }

  /** Opens the listeners of a configuration, or throws with all problems and changes nothing. */
  #open(
    wanted: readonly ResolvedService[],
    known: readonly Problem[],
    only?: ReadonlySet<string>,
  ): ReloadPlan {
    this.lookAfterListeners();
    const plan = this.plan(wanted, only);
    const change = this.#table.prepare(wanted);
    const problems = [...known, ...change.problems];
    if (problems.length > 0) {
      change.undo();
      throw openError(problems, change.inUse);
    }
    change.commit();
    this.#generation++;
    return plan;
  }

  #onReconciled(service: Service, { outcome }: Decision): void {
    this.#idleWatch.update(service, isServiceIdle(service));
    this.#pool.restarts.recover(service);
    this.#coldStart?.look(service);
    this.#services.removeIfGone(service);
    this.#services.look(service);
    this.#endIfDone();
    if (outcome !== undefined) this.#rollouts.onOutcome(service, outcome);
  }

  #reconcileAll(): void {
    for (const service of this.#services.all()) this.#reconciler.reconcile(service);
  }

  /** Whether an address of a worker is still served. */
  #isServed({ config }: Worker): boolean {
    if (this.#ending !== undefined) return this.#ending === "retired";
    return keysOf(config).some((key) => this.#table.has(key));
  }

  #endIfDone(): void {
    if (this.#ending === "stopped") this.#release.closeUnheld();
    // Detached processes end with this process, so an upgrade waits for them.
    const { isGone, isEmpty } = this.#pool;
    if (this.#ending === "retired" ? isEmpty : this.#ending && isGone) this.#stopped.resolve();
  }
}

/** Whether processes of a service that was removed still end. */
function isEnding({ current, candidate, workers }: Service): boolean {
  return current === undefined &&
    (candidate !== undefined || workers.values().some(({ life }) => life.state !== "detached"));
}

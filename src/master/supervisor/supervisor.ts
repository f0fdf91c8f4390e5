/**
 * The supervisor: keeps the processes that the configuration asks for.
 *
 * All state is here and in the model. Each event ends in {@linkcode Supervisor.#reconcile}, which
 * asks the policy for the actions of the affected service, and performs them. Nothing is awaited in
 * between, so that no event meets a half-changed state.
 *
 * @module
 */
import { ConfigError, type Problem } from "../../config/errors.ts";
import { keysOf } from "../../config/endpoints.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { Clock, Timer } from "../../os/clock/clock.ts";
import { proportionalMemory } from "../../os/process/memory.ts";
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import type { Listener } from "../policy/listener.ts";
import { ColdStart } from "./cold_start.ts";
import { type Assignment, WorkerPool } from "./worker_pool.ts";
import type { Action, Decision } from "../policy/decision.ts";
import { ListenerRepair } from "../listeners/repair.ts";
import { ListenerWatches } from "../listeners/watches.ts";
import { AddressesInUseError, ListenerTable } from "../listeners/table.ts";
import { decide, TERMINATE_GRACE_MS } from "../policy/decide.ts";
import { planReload, type ReloadPlan } from "../policy/reload_plan.ts";
import { fullStrength, isServiceIdle, scale, strengthOf } from "../policy/scaling.ts";
import { IdleWatch } from "./idle_watch.ts";
import { nextSlot } from "../policy/slots.ts";
import { servedListeners } from "./steering.ts";
import { isServing, type Worker } from "../policy/life.ts";
import { freshStart, newService, type Service, type Version } from "../policy/model.ts";
import { StartPace } from "./start_pace.ts";
import type { SupervisorPorts } from "./ports.ts";
import { Rollout, type RolloutGroup, type UndoneReload } from "./rollout.ts";

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
  readonly #clock: Clock;
  readonly #log: (text: string) => void;
  readonly #maxGenerations: () => number;
  readonly #listeners: ListenerTable;
  readonly #pool: WorkerPool;
  readonly #services = new Map<string, Service>();
  readonly #repair: ListenerRepair;
  readonly #idleWatch: IdleWatch;
  readonly #pace: StartPace;
  readonly #timers = new Map<Service, Timer>();
  #stopped = Promise.withResolvers<void>();
  #rollout = new Rollout([]);
  #coldStart?: ColdStart;
  #generation: number;
  /** How the supervisor ends, if it does: another master takes over, or none. */
  #ending?: "retired" | "stopped";

  /** @param ports The access to the system. */
  constructor(ports: SupervisorPorts) {
    const { clock, launcher, log } = ports;
    this.#clock = clock;
    this.#log = log;
    this.#maxGenerations = () => ports.maxGenerations?.() ?? Infinity;
    this.#generation = ports.generation ?? 0;
    const watches = new ListenerWatches(
      ports.watchListener,
      (listener) => this.#repair.onDeaf(listener),
    );
    this.#listeners = new ListenerTable(ports.listeners, watches);
    this.#repair = new ListenerRepair({
      clock,
      log,
      table: this.#listeners,
      isHeld: (listener) => this.#isHeld(listener),
      onMended: (key, replaced) => this.#onMended(key, new Set(replaced)),
    });
    this.#pace = new StartPace({
      afterTurn: ports.afterTurn,
      onTurn: (service) => this.#reconcile(service),
    });
    this.#idleWatch = new IdleWatch({
      clock,
      log,
      watch: (config, onWaiting) => watches.expect(this.#listeners.allListeners(config), onWaiting),
      onWaiting: (service, listener) => {
        ports.debug?.(`${service.id}: a connection waits, and no process runs`);
        service.demand = 1;
        // The new process must use the queue in which the connection waits.
        service.unservedSlots.add(this.#listeners.slotOf(service.current!.config, listener));
        this.#reconcile(service);
      },
    });
    this.#pool = new WorkerPool({
      clock,
      launcher,
      log,
      debug: (text) => ports.debug?.(text),
      onChange: (service) => this.#reconcile(service),
      onLeave: ({ listeners, config }, { isExpected }) =>
        isExpected
          ? this.#repair.lookAfterEnd(keysOf(config))
          : this.#repair.lookAt(listeners, { mayReplace: true }),
      random: () => ports.random?.() ?? Math.random(),
      memoryOf: (pid) => (ports.memoryOf ?? proportionalMemory)(pid),
    });
  }

  /** The ids of the current services. */
  get serving(): ReadonlySet<string> {
    return new Set(configsOf([...this.#services.values()], "current").map(({ id }) => id));
  }

  /**
   * What a reload would do; changes nothing.
   *
   * @param wanted All services of the next configuration.
   */
  plan(wanted: readonly ServiceConfig[]): ReloadPlan {
    const services = configsOf([...this.#services.values()], "current");
    const failed = new Set(
      [...this.#services.values()].flatMap(({ id, failure }) => failure === undefined ? [] : [id]),
    );
    return planReload({ listeners: this.#listeners.keys(), services, failed }, wanted);
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
  start(wanted: readonly ServiceConfig[], known: readonly Problem[] = []): Start {
    const plan = this.#open(wanted, known);
    for (const config of wanted) {
      this.#serviceOf(config.id).current = { config, generation: this.#generation };
      this.#listeners.keep(config);
    }
    this.#reconcileAll();
    this.#coldStart = new ColdStart(this.#services.values());
    return { plan, coldStart: this.#coldStart };
  }

  /**
   * Rolls a configuration out: opens its listeners and starts candidate workers beside the current
   * ones. A service whose candidate passes switches to it, and its old workers are soft-stopped. A
   * service whose candidate fails keeps its current version.
   *
   * @param wanted As for {@linkcode start}.
   * @param known As for {@linkcode start}.
   * @param options `together`: whether all services succeed or fail together.
   * @returns The reload; the next one may begin when its outcome is known.
   * @throws {ConfigError} With all problems; nothing has changed then.
   */
  reload(
    wanted: readonly ServiceConfig[],
    known: readonly Problem[] = [],
    { together = false }: { readonly together?: boolean } = {},
  ): Reload {
    if (this.#rollout.open.size > 0) throw new Error("Cannot reload: another reload is under way");
    const plan = this.#open(wanted, known);
    const configs = new Map(wanted.map((config) => [config.id, config]));
    const groups = (together ? [plan.groups.flat()] : plan.groups)
      .map((ids) => this.#addCandidates(ids, configs));
    const rollout = this.#rollout = new Rollout(groups);
    for (const id of plan.left) {
      const service = this.#serviceOf(id), { demand } = service;
      // A reload resets the restart history, but not the demand.
      this.#reconcile(Object.assign(service, freshStart(this.#clock.nowMs()), { demand }));
    }
    for (const group of groups) {
      for (const member of group.members) this.#reconcile(member);
      // A group without members can't fail.
      if (group.members.length === 0) this.#commitIfPassed(group);
    }
    return { plan, outcome: rollout.outcome };
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
    this.#pool.hurryDraining();
    const killAtMs = this.#clock.nowMs() + timeoutMs;
    this.#pool.limitAll({ terminateAtMs: killAtMs - TERMINATE_GRACE_MS, killAtMs });
    this.#listeners.releaseAll();
    this.#repair.stop();
    this.#drop();
    this.#endIfDone();
    return this.#stopped.promise;
  }

  /**
   * Gives up, after {@linkcode stop}, the addresses whose listeners some processes still hold, so
   * that another program can listen there.
   */
  surrender(): Promise<void> {
    return this.#listeners.surrender();
  }

  /** Shortens a {@linkcode stop} that is under way: sends SIGTERM to all processes now. */
  shortenStop(): void {
    if (this.#ending !== "stopped") return;
    this.#pool.limitAll({ terminateAtMs: this.#clock.nowMs() });
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
    for (const key of dropped) this.#listeners.releaseKey(key);
    this.#listeners.handOver();
    this.#repair.stop();
    this.#drop();
    this.#listeners.closeReleased();
    const left = this.#listeners.takeAll();
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
  resume(wanted: readonly ServiceConfig[]): Start {
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

  /** The current services. */
  get current(): readonly ServiceConfig[] {
    return configsOf([...this.#services.values()], "current");
  }

  /**
   * Adds processes to each service, or removes some, until the next reload.
   *
   * @param by How many to add; negative to remove.
   */
  scale(by: number): void {
    if (this.#ending !== undefined) return;
    for (const service of this.#services.values()) {
      if (service.current === undefined) continue;
      const before = fullStrength(service);
      scale(service, by);
      const now = fullStrength(service);
      if (now !== before) this.#log(`${service.id}: ${now} processes from now on`);
      this.#reconcile(service);
    }
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
    return this.#listeners.all();
  }

  /** Repairs the shared listeners that processes have changed. */
  lookAfterListeners(): void {
    this.#repair.lookAtAll();
  }

  /** Recycles processes whose listeners were replaced, and steers connections anew. */
  #onMended(key: string, closed: ReadonlySet<Listener>): void {
    for (const service of this.#services.values()) {
      const usesKey = service.current !== undefined && keysOf(service.current.config).includes(key);
      const stale = [...service.workers].filter(({ listeners }) =>
        listeners.some((listener) => closed.has(listener))
      );
      for (const worker of stale) {
        if (isServing(worker)) worker.life.lostListener = true;
        this.#pool.health.spend(worker, "one of its listeners was opened anew");
      }
      // Not at once: this may run in the middle of an event of the same service.
      if (usesKey || stale.length > 0) this.#reconcileAt(service, this.#clock.nowMs());
    }
  }

  #reconcileAt(service: Service, atMs: number): void {
    this.#timers.get(service)?.cancel();
    const delayMs = atMs - this.#clock.nowMs();
    this.#timers.set(service, this.#clock.setTimer(delayMs, () => this.#reconcile(service)));
  }

  /** Removes all versions, so that every process stops. */
  #drop(): void {
    for (const group of this.#rollout.open) this.#rollout.fail(group, "the master stops");
    for (const service of this.#services.values()) service.current = undefined;
    this.#reconcileAll();
  }

  /** Opens the listeners of a configuration, or throws with all problems and changes nothing. */
  #open(wanted: readonly ServiceConfig[], known: readonly Problem[]): ReloadPlan {
    this.lookAfterListeners();
    const plan = this.plan(wanted);
    const change = this.#listeners.prepare(wanted);
    const problems = [...known, ...change.problems];
    if (problems.length > 0) {
      change.undo();
      throw problems.length === change.inUse.length
        ? new AddressesInUseError(problems, change.inUse)
        : new ConfigError(problems);
    }
    change.commit();
    this.#generation++;
    return plan;
  }

  #serviceOf(id: string): Service {
    let service = this.#services.get(id);
    if (service === undefined) {
      service = newService(id);
      this.#services.set(id, service);
    }
    return service;
  }

  /** Gives each service of a group that is still configured a candidate. */
  #addCandidates(
    ids: readonly string[],
    configs: ReadonlyMap<string, ServiceConfig>,
  ): RolloutGroup {
    const members: Service[] = [], removed: Service[] = [];
    for (const id of ids) {
      const service = this.#serviceOf(id), config = configs.get(id);
      (config === undefined ? removed : members).push(service);
      if (config === undefined) continue;
      service.candidate = { config, generation: this.#generation, startAtMs: 0, left: 0 };
    }
    return { ids, members, removed };
  }

  /** Performs the actions for a service until the policy has none left. */
  #reconcile(service: Service): void {
    this.#timers.get(service)?.cancel();
    this.#timers.delete(service);
    let decision: Decision;
    for (;;) {
      decision = this.#decide(service);
      const actions = this.#pace.bound(service, decision.actions);
      if (actions.length === 0) break;
      // Steering comes first, so that a stopping worker still accepts the connections in its queue.
      this.#steer(service, actions);
      for (const action of actions) {
        this.#perform(service, action);
        // The replacement of a lost worker may have to wait; the other actions were decided before.
        if (action.do === "terminate" || action.do === "abort") break;
      }
    }
    this.#steer(service);
    const { wakeAtMs, outcome } = decision;
    if (wakeAtMs !== undefined) this.#reconcileAt(service, wakeAtMs);
    this.#idleWatch.update(service, isServiceIdle(service));
    this.#coldStart?.look(service);
    const { id, current, candidate, workers } = service;
    if (!current && !candidate && workers.size === 0) this.#services.delete(id);
    this.#endIfDone();
    const group = outcome && this.#rollout.groupOf(service);
    if (group === undefined || outcome === undefined) return;
    if (outcome.is === "passed") this.#commitIfPassed(group);
    if (outcome.is === "failed") this.#undo(group, outcome.reason);
  }

  #reconcileAll(): void {
    for (const service of [...this.#services.values()]) this.#reconcile(service);
  }

  #decide(service: Service): Decision {
    return decide(service, {
      nowMs: this.#clock.nowMs(),
      maxGenerations: this.#maxGenerations(),
    });
  }

  #perform(service: Service, action: Action): void {
    switch (action.do) {
      case "start":
        for (let left = action.count; left > 0 && this.#start(service, action.version);) left--;
        return;
      case "activate":
        return this.#pool.activate(
          service,
          action.worker,
          this.#nextAssignment(service, service.current!),
        );
      case "startStandby":
        return this.#pool.startStandby(service, action.version);
      case "softstop":
        return this.#softstop(action.worker);
      case "terminate":
        return this.#pool.terminate(service, action.worker);
      case "kill":
        return this.#pool.kill(action.worker);
      case "suspect":
        return this.#pool.health.suspect(action.worker);
      case "abort":
        return this.#pool.abort(service, action.worker);
      case "recycle":
        return this.#pool.health.recycle(action.worker);
      case "measure":
        return this.#pool.health.measure(action.worker);
      case "scaleDown":
        service.demand = strengthOf(service) - 1;
        return this.#softstop(action.worker);
    }
  }

  #start(service: Service, version: Version): boolean {
    return this.#pool.start(service, version, this.#nextAssignment(service, version));
  }

  #nextAssignment(service: Service, version: Version): Assignment {
    const slot = nextSlot(service, version);
    const listeners = this.#listeners.listeners(version.config, slot);
    // Other processes may go on with these listeners, so none is replaced.
    this.#repair.lookAt(listeners, { mayReplace: false });
    return { slot, listeners };
  }

  #softstop(worker: Worker): void {
    const closing = worker.listeners.flatMap((listener, index) =>
      this.#listeners.isIdle(listener) ? [index] : []
    );
    this.#pool.softstop(worker, { replaced: this.#isServed(worker), closing });
  }

  /**
   * Keeps connections away from the slots that no worker serves, now or after the given actions.
   */
  #steer(service: Service, actions: readonly Action[] = []): void {
    const { current } = service;
    if (current !== undefined && this.#listeners.hasSlots(current.config)) {
      this.#listeners.steer(
        current.config,
        servedListeners(service, { current, actions, table: this.#listeners }),
      );
    }
    this.#listeners.closeUnused((listener) => this.#isHeld(listener));
  }

  #isHeld(listener: Listener): boolean {
    return this.#services.values().some((service) =>
      service.workers.values().some(({ listeners }) => listeners.includes(listener))
    );
  }

  /** Whether an address of a worker is still served. */
  #isServed({ config }: Worker): boolean {
    if (this.#ending !== undefined) return this.#ending === "retired";
    return keysOf(config).some((key) => this.#listeners.has(key));
  }

  /** Makes the candidates of a group the current versions once all of them have passed. */
  #commitIfPassed(group: RolloutGroup): void {
    const { members, removed } = group;
    if (members.some((member) => this.#decide(member).outcome?.is !== "passed")) return;
    const before = configsOf([...members, ...removed], "current");
    this.#rollout.pass(group);
    const after = configsOf(members, "current");
    for (const config of after) this.#listeners.keep(config);
    for (const member of members) member.unservedSlots.clear();
    this.#listeners.release(before, after);
    for (const service of [...members, ...removed]) this.#reconcile(service);
    this.#listeners.closeReleased();
  }

  /** Returns the services of a group to their state before the reload. */
  #undo(group: RolloutGroup, reason: string): void {
    const { ids, members, removed } = group;
    this.#log(`reload undone for ${ids.join(" ")}: ${reason}`);
    const candidates = configsOf(members, "candidate");
    this.#rollout.fail(group, reason);
    this.#listeners.release(candidates, configsOf([...members, ...removed], "current"));
    for (const member of members) this.#reconcile(member);
    this.#listeners.closeReleased();
  }

  /** Closes, during a stop, the listeners that no process holds any more. */
  #closeUnheld(): void {
    let held: Set<Listener> | undefined;
    this.#listeners.closeReleased((listener) => (held ??= this.#heldListeners()).has(listener));
  }

  #heldListeners(): Set<Listener> {
    const workers = [...this.#services.values()].flatMap(({ workers }) => [...workers]);
    const holding = workers.filter((worker) => this.#pool.holdsListeners(worker));
    return new Set(holding.flatMap(({ listeners }) => listeners));
  }

  #endIfDone(): void {
    if (this.#ending === "stopped") this.#closeUnheld();
    // Detached processes end with this process, so an upgrade waits for them.
    const { isGone, isEmpty } = this.#pool;
    if (this.#ending === "retired" ? isEmpty : this.#ending && isGone) this.#stopped.resolve();
  }
}

function configsOf(services: readonly Service[], which: "current" | "candidate"): ServiceConfig[] {
  return services.flatMap((service) => service[which]?.config ?? []);
}

/**
 * The supervisor: keeps the processes that the configuration asks for.
 *
 * All state is here and in the tables; each event ends in {@linkcode Supervisor.#settle}, which
 * asks the policy what to do for the one service that the event concerns, and does it. Nothing is
 * awaited in between, so that no event ever meets a state half changed.
 *
 * @module
 */
import { ConfigError, type Problem } from "../../config/errors.ts";
import { keysOf, type ServiceConfig } from "../../config/service.ts";
import type { Clock, Timer } from "../../os/clock/clock.ts";
import { proportionalMemory } from "../../os/process/memory.ts";
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import type { OpenedListener } from "../../os/net/socket.ts";
import { ColdStart } from "./cold_start.ts";
import { type Assignment, WorkerPool } from "./worker_pool.ts";
import type { Action, Decision } from "../policy/decision.ts";
import { ListenerCare } from "../listeners/repair.ts";
import { ListenerWatches } from "../listeners/watches.ts";
import { AddressesInUseError, ListenerTable } from "../listeners/table.ts";
import { decide, TERMINATE_GRACE_MS } from "../policy/decide.ts";
import { planReload, type ReloadPlan } from "../policy/reload_plan.ts";
import { fullStrength, isAsleep, scale, strengthOf } from "../policy/scaling.ts";
import { IdleWatch } from "./idle_watch.ts";
import { nextSlot } from "../policy/slots.ts";
import { servedListeners } from "./steering.ts";
import {
  freshStart,
  newService,
  type Service,
  type Version,
  type Worker,
} from "../policy/model.ts";
import { StartPace } from "./start_pace.ts";
import type { SupervisorPorts } from "./ports.ts";
import { Rollout, type RolloutGroup, type UndoneReload } from "./rollout.ts";

/** A reload that has begun. */
export interface Reload {
  /** What it is to do. */
  readonly plan: ReloadPlan;
  /** What came of it: the services that go on as before, none when all went well. Never rejects. */
  readonly outcome: Promise<readonly UndoneReload[]>;
}

/** A start that has begun. */
export interface Start {
  /** What there was to do. */
  readonly plan: ReloadPlan;
  /** Which services have come to serve. */
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
  readonly #care: ListenerCare;
  readonly #idleWatch: IdleWatch;
  readonly #pace: StartPace;
  readonly #timers = new Map<Service, Timer>();
  #stopped = Promise.withResolvers<void>();
  #rollout = new Rollout([]);
  #coldStart?: ColdStart;
  #generation: number;
  /** How it ends, once it does: another process goes on, or none. */
  #ending?: "retired" | "stopped";

  /** @param ports The ways to the system. */
  constructor(ports: SupervisorPorts) {
    const { clock, launcher, log } = ports;
    this.#clock = clock;
    this.#log = log;
    this.#maxGenerations = () => ports.maxGenerations?.() ?? Infinity;
    this.#generation = ports.generation ?? 0;
    const watches = new ListenerWatches(
      ports.watchListener,
      (listener) => this.#care.onDeaf(listener),
    );
    this.#listeners = new ListenerTable(ports.listeners, watches);
    this.#care = new ListenerCare({
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
        // The process that is started is to be one that has just that queue.
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
          ? this.#care.lookAfterEnd(keysOf(config))
          : this.#care.lookAt(listeners, { mayReplace: true }),
      random: () => ports.random?.() ?? Math.random(),
      memoryOf: (pid) => (ports.memoryOf ?? proportionalMemory)(pid),
    });
  }

  /** The ids of the services that are in force. */
  get serving(): ReadonlySet<string> {
    return new Set(configsOf([...this.#services.values()], "current").map(({ id }) => id));
  }

  /**
   * What a reload would do; nothing is done.
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
   * Puts the first configuration into force: opens the listeners and starts all processes.
   *
   * @param wanted All services. Their addresses are known to be different.
   * @param known What is wrong with the configuration as it is. If there is anything, this call only
   * finds what else is: listeners that can't be opened.
   * @returns The start.
   * @throws {ConfigError} With all that is wrong; then nothing has changed.
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
   * Tries a configuration: opens its listeners and starts its processes beside those that run. Each
   * service whose new processes prove themselves is in force then, and its old ones are soft-stopped;
   * if one of them does not, all of that service goes on as before.
   *
   * @param wanted As for {@linkcode start}.
   * @param known As for {@linkcode start}.
   * @param options `together`: whether all services succeed or fail together.
   * @returns The reload; the next one may begin when its outcome is known.
   * @throws {ConfigError} With all that is wrong; then nothing has changed.
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
      .map((ids) => this.#tryOut(ids, configs));
    const rollout = this.#rollout = new Rollout(groups);
    for (const id of plan.left) {
      const service = this.#serviceOf(id), { demand } = service;
      // What is forgotten is how its processes fared, and not whether anybody needs them.
      this.#reconcile(Object.assign(service, freshStart(this.#clock.nowMs()), { demand }));
    }
    for (const group of groups) {
      for (const member of group.members) this.#reconcile(member);
      // Without members there is nothing that could fail.
      if (group.members.length === 0) this.#commitIfPassed(group);
    }
    return { plan, outcome: rollout.outcome };
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
    this.#ending = "stopped";
    this.#pool.hurryDraining();
    const killAtMs = this.#clock.nowMs() + timeoutMs;
    this.#pool.limitAll({ terminateAtMs: killAtMs - TERMINATE_GRACE_MS, killAtMs });
    this.#listeners.releaseAll();
    this.#care.stop();
    this.#drop();
    this.#endIfDone();
    return this.#stopped.promise;
  }

  /**
   * Gives up, after {@linkcode stop}, the addresses whose listeners some processes still have: another
   * program is to listen there.
   */
  surrender(): Promise<void> {
    return this.#listeners.surrender();
  }

  /** Shortens the wait of {@linkcode stop}, if it is under way: SIGTERM to all processes now. */
  shortenStop(): void {
    if (this.#ending !== "stopped") return;
    this.#pool.limitAll({ terminateAtMs: this.#clock.nowMs() });
    this.#reconcileAll();
  }

  /**
   * Leaves everything to another master: soft-stops all processes, which may take their time, and
   * those that have detached as well. {@linkcode stop} can still be called, and bounds that.
   *
   * @param dropped The keys of the addresses that the other one does not serve: they are closed for
   * good.
   * @returns The listeners of the others by the keys of their addresses; the caller's from now on.
   */
  retire(dropped: readonly string[]): ReadonlyMap<string, readonly OpenedListener[]> {
    this.#ending = "retired";
    for (const key of dropped) this.#listeners.releaseKey(key);
    this.#listeners.handOver();
    this.#care.stop();
    this.#drop();
    this.#listeners.closeReleased();
    const left = this.#listeners.takeAll();
    this.#endIfDone();
    return left;
  }

  /**
   * Takes up again, after {@linkcode retire}, what it had: opens the listeners and starts the processes.
   * Those that drain go on to do so.
   *
   * @param wanted What was {@linkcode current}.
   * @returns The start.
   * @throws {ConfigError} With all that is wrong; then nothing has changed.
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

  /** The services in force. */
  get current(): readonly ServiceConfig[] {
    return configsOf([...this.#services.values()], "current");
  }

  /**
   * Adds processes to each service, or takes some away, until the next reload.
   *
   * @param by How many.
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
   * Hands every process the files of standard outputs that were opened anew.
   *
   * @param outputs Which they are.
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

  /** All open listeners by the keys of their addresses. Borrowed. */
  get listeners(): readonly (readonly [key: string, listener: OpenedListener])[] {
    return this.#listeners.entries();
  }

  /** Puts right what processes have done to the listeners that they share. */
  lookAfterListeners(): void {
    this.#care.lookAtAll();
  }

  /** Has processes replaced that have listeners which are closed by now, and steers connections anew. */
  #onMended(key: string, closed: ReadonlySet<OpenedListener>): void {
    for (const service of this.#services.values()) {
      const isIts = service.current !== undefined && keysOf(service.current.config).includes(key);
      const stale = [...service.workers].filter(({ listeners }) =>
        listeners.some((listener) => closed.has(listener))
      );
      for (const worker of stale) {
        worker.lostListener = true;
        this.#pool.care.spend(worker, "one of its listeners was opened anew");
      }
      // Not at once: it may be in the middle of an event of this very service.
      if (isIts || stale.length > 0) this.#reconcileAt(service, this.#clock.nowMs());
    }
  }

  #reconcileAt(service: Service, atMs: number): void {
    this.#timers.get(service)?.cancel();
    const delayMs = atMs - this.#clock.nowMs();
    this.#timers.set(service, this.#clock.setTimer(delayMs, () => this.#reconcile(service)));
  }

  /** Wants no process any more. */
  #drop(): void {
    for (const group of this.#rollout.open) this.#rollout.fail(group, "the master stops");
    for (const service of this.#services.values()) service.current = undefined;
    this.#reconcileAll();
  }

  /** Opens what a configuration needs, or throws with all that is wrong and changes nothing. */
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

  /** Gives each service of a group that is still wanted a version on trial. */
  #tryOut(ids: readonly string[], configs: ReadonlyMap<string, ServiceConfig>): RolloutGroup {
    const members: Service[] = [], removed: Service[] = [];
    for (const id of ids) {
      const service = this.#serviceOf(id), config = configs.get(id);
      (config === undefined ? removed : members).push(service);
      if (config === undefined) continue;
      service.candidate = { config, generation: this.#generation, startAtMs: 0, left: 0 };
    }
    return { ids, members, removed };
  }

  /** Does what there is to do for a service, until nothing is left but to wait. */
  #reconcile(service: Service): void {
    this.#timers.get(service)?.cancel();
    this.#timers.delete(service);
    let decision: Decision;
    for (;;) {
      decision = this.#decide(service);
      const actions = this.#pace.bound(service, decision.actions);
      if (actions.length === 0) break;
      // First: who stops then accepts what has come to it before.
      this.#steer(service, actions);
      for (const action of actions) {
        this.#perform(service, action);
        // The place of one that is lost may have to wait, which the other actions don't know yet.
        if (action.do === "terminate" || action.do === "abort") break;
      }
    }
    this.#steer(service);
    const { wakeAtMs, outcome } = decision;
    if (wakeAtMs !== undefined) this.#reconcileAt(service, wakeAtMs);
    this.#idleWatch.update(service, isAsleep(service));
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
          this.#nextPost(service, service.current!),
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
        return this.#pool.care.suspect(action.worker);
      case "abort":
        return this.#pool.abort(service, action.worker);
      case "recycle":
        return this.#pool.care.recycle(action.worker);
      case "measure":
        return this.#pool.care.measure(action.worker);
      case "scaleDown":
        service.demand = strengthOf(service) - 1;
        return this.#softstop(action.worker);
    }
  }

  #start(service: Service, version: Version): boolean {
    return this.#pool.start(service, version, this.#nextPost(service, version));
  }

  #nextPost(service: Service, version: Version): Assignment {
    const slot = nextSlot(service, version);
    const listeners = this.#listeners.listeners(version.config, slot);
    // Others may go on with them, so that none is replaced.
    this.#care.lookAt(listeners, { mayReplace: false });
    return { slot, listeners };
  }

  #softstop(worker: Worker): void {
    const closing = worker.listeners.flatMap((listener, index) =>
      this.#listeners.isIdle(listener) ? [index] : []
    );
    this.#pool.softstop(worker, { replaced: this.#isHeard(worker), closing });
  }

  /** Keeps connections away from the slots that nobody serves, or will when some actions are done. */
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

  #isHeld(listener: OpenedListener): boolean {
    return this.#services.values().some((service) =>
      service.workers.values().some(({ listeners }) => listeners.includes(listener))
    );
  }

  /** Whether somebody still listens on an address of a worker. */
  #isHeard({ config }: Worker): boolean {
    if (this.#ending !== undefined) return this.#ending === "retired";
    return keysOf(config).some((key) => this.#listeners.has(key));
  }

  /** Puts the versions of a group into force once all of them have passed. */
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

  /** Goes on as before a reload with the services of a group. */
  #undo(group: RolloutGroup, reason: string): void {
    const { ids, members, removed } = group;
    this.#log(`reload undone for ${ids.join(" ")}: ${reason}`);
    const tried = configsOf(members, "candidate");
    this.#rollout.fail(group, reason);
    this.#listeners.release(tried, configsOf([...members, ...removed], "current"));
    for (const member of members) this.#reconcile(member);
    this.#listeners.closeReleased();
  }

  /** What it still has open at a stop is closed as soon as no process may have it open. */
  #closeUnheld(): void {
    let held: Set<OpenedListener> | undefined;
    this.#listeners.closeReleased((listener) => (held ??= this.#heldListeners()).has(listener));
  }

  #heldListeners(): Set<OpenedListener> {
    const workers = [...this.#services.values()].flatMap(({ workers }) => [...workers]);
    const holding = workers.filter((worker) => this.#pool.holdsListeners(worker));
    return new Set(holding.flatMap(({ listeners }) => listeners));
  }

  #endIfDone(): void {
    if (this.#ending === "stopped") this.#closeUnheld();
    // Those that have detached end with this process, which an upgrade is no reason for.
    const { isGone, isEmpty } = this.#pool;
    if (this.#ending === "retired" ? isEmpty : this.#ending && isGone) this.#stopped.resolve();
  }
}

function configsOf(services: readonly Service[], which: "current" | "candidate"): ServiceConfig[] {
  return services.flatMap((service) => service[which]?.config ?? []);
}

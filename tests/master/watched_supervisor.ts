/**
 * A supervisor whose invariants are checked after every step. The current version of a service is
 * derived from a plan that is computed and not carried out.
 */
import { assert, assertEquals } from "@std/assert";
import { keysOf } from "../../src/config/endpoints.ts";
import type { ResolvedService } from "../../src/master/policy/resolved_service.ts";
import { slotsOf } from "../../src/master/policy/slots.ts";
import { Supervisor } from "../../src/master/supervisor/supervisor.ts";
import type { UndoneReload } from "../../src/master/policy/reload_report.ts";
import { FakeClock } from "../fakes/fake_clock.ts";
import { FakeLauncher, type FakeWorker } from "../fakes/fake_launcher.ts";
import { FakeListeners } from "../fakes/fake_listeners.ts";

const MAX_GENERATIONS = 3;

/** What the test records of a worker. */
export interface Known {
  /** When it was activated, if it was a standby. */
  startedAtMs: number;
  /** Whether it has loaded, as a standby. */
  loaded: boolean;
  ready: boolean;
  detached: boolean;
  draining: boolean;
  /** It can send nothing any more; only its exit is reported. */
  lost: boolean;
  /** The commands that it had received when it was lost. */
  toldAtEnd?: number;
}

/** A configuration that was accepted for a service, and its reload. */
export interface Accepted {
  readonly config: ResolvedService;
  readonly generation: number;
}

/** A reload that is under way. */
export interface RolloutUnderWay {
  readonly generation: number;
  /** The ids of the services that are replaced or added. */
  readonly configs: ReadonlyMap<string, ResolvedService>;
  readonly logBefore: number;
  outcome?: readonly UndoneReload[];
}

/** A supervisor with fake ports, and what the test records of it. */
export class WatchedSupervisor {
  readonly clock = new FakeClock();
  readonly launcher = new FakeLauncher();
  readonly listeners = new FakeListeners();
  readonly log: string[] = [];
  readonly supervisor = new Supervisor({
    clock: this.clock,
    timeOfDayMs: () => 0,
    launcher: this.launcher,
    listeners: this.listeners,
    log: (text) => this.log.push(text),
    debug: () => {},
    tell: () => {},
    random: Math.random,
    memoryOf: () => 0,
    maxGenerations: () => MAX_GENERATIONS,
  });
  readonly known = new Map<FakeWorker, Known>();
  /**
   * When each version of a service may start processes, for versions that lost a worker too early.
   */
  readonly startAtMs = new Map<string, number>();
  inForce = new Map<string, Accepted>();
  rollout: RolloutUnderWay | undefined;
  /** Its configurations that are still candidates. */
  open: readonly ResolvedService[] = [];

  constructor() {
    this.launcher.onLaunch = (worker) => this.#onLaunch(worker);
    this.launcher.onActivate = (worker) => this.#onActivate(worker);
  }

  /** The current version of each service: the one that a reload would find unchanged. */
  #versions(): Map<string, Accepted> {
    const candidates = [...this.inForce.values()];
    for (const config of this.rollout?.configs.values() ?? []) {
      candidates.push({ config, generation: this.rollout!.generation });
    }
    const found = candidates.filter(({ config }) =>
      this.supervisor.plan([{ ...config, reload: "changed" }]).left.length > 0
    );
    return new Map(found.map((version) => [version.config.id, version]));
  }

  /** The services whose reload was undone, by the log. */
  undone(): string[] {
    if (this.rollout === undefined) return [];
    return this.log.slice(this.rollout.logBefore)
      .flatMap((line) => /^reload rolled back for (.*?):/.exec(line)?.[1].split(" ") ?? []);
  }

  /** Derives which versions are current, and which are still candidates. */
  look(): void {
    if (this.rollout === undefined) return;
    this.inForce = this.#versions();
    const undone = this.undone();
    this.open = [...this.rollout.configs.values()].filter((config) =>
      this.inForce.get(config.id)?.config !== config && !undone.includes(config.id)
    );
  }

  #onLaunch(worker: FakeWorker): void {
    const startedAtMs = this.clock.nowMs();
    const nothing = { ready: false, loaded: false, detached: false, draining: false, lost: false };
    this.known.set(worker, { startedAtMs, ...nothing });
    this.look();
    if (worker.isStandby) this.#checkNewStandby(worker);
    else this.#checkStart(worker);
  }

  #onActivate(worker: FakeWorker): void {
    const known = this.known.get(worker)!;
    known.startedAtMs = this.clock.nowMs();
    const { lost, detached, draining } = known;
    assert(
      !lost && !detached && !draining && worker.told.length === 0,
      "no standby to be activated",
    );
    this.look();
    const { service: { id }, generation } = worker.request;
    assertEquals(generation, this.inForce.get(id)?.generation, "a standby of another version");
    this.#checkStart(worker);
  }

  /** Standbys are started in the background: no process is missing or starting. */
  #checkNewStandby({ request: { service, generation } }: FakeWorker): void {
    const version = this.inForce.get(service.id);
    assertEquals(generation, version?.generation, "a standby of another version");
    assert(!this.open.some(({ id }) => id === service.id), "a standby during a rollout");
    const serving = this.serving(version!);
    assert(serving.length >= service.procCount, "a standby before those that are missing");
    assert(serving.every((it) => this.known.get(it)!.ready), "a standby before all are ready");
    assert(this.standbys(version!).length <= service.supervision.standbyCount, "too many standbys");
  }

  #checkStart(worker: FakeWorker): void {
    const { startedAtMs } = this.known.get(worker)!;
    const { fds, request: { service, generation } } = worker;
    const version = this.inForce.get(service.id);
    const isCandidate = generation !== version?.generation;
    const expected = isCandidate ? this.rollout?.configs.get(service.id) : version?.config;
    assertEquals(service.fingerprint, expected?.fingerprint, "a version that is not wanted");
    if (isCandidate) assertEquals(generation, this.rollout?.generation);
    const startAtMs = this.startAtMs.get(`${service.id} ${generation}`) ?? 0;
    assert(startedAtMs >= startAtMs, "started too early");
    const keys = fds.map((fd) => this.listeners.addresses.get(fd));
    assertEquals(keys, keysOf(service));
    this.#checkRoom(worker, version);
  }

  /** A reload with a step never exceeds the number of processes, neither forwards nor backwards. */
  #checkRoom({ request: { service, generation } }: FakeWorker, version?: Accepted): void {
    const alive = this.launcher.running.filter((other) =>
      other.request.service.id === service.id && !other.isStandby &&
      !this.known.get(other)!.detached &&
      other.request.generation >= (version?.generation ?? generation)
    );
    if (generation !== version?.generation) {
      const most = Math.max(service.procCount, version?.config.procCount ?? 0);
      const bound = most + (service.reloadStep ?? Infinity);
      assert(alive.length <= bound, `${alive.length} of ${bound} processes of ${service.id}`);
      return;
    }
    const hasCandidate = this.open.some(({ id }) => id === service.id);
    const older = alive.filter((other) =>
      !hasCandidate || other.request.generation !== this.rollout?.generation
    );
    const steps = older.filter((other) => other.request.generation !== generation)
      .flatMap((other) => other.request.service.reloadStep ?? []);
    const bound = service.procCount + (steps.length === 0 ? Infinity : Math.max(...steps));
    assert(older.length <= bound, `${older.length} of ${bound} processes of ${service.id}, undone`);
  }

  /**
   * The supervisor itself does not reduce the ready processes of a service or an address below the
   * wanted number.
   */
  checkStops(told: ReadonlyMap<FakeWorker, number>, before: ReadonlyMap<string, Accepted>): void {
    const counts = (worker: FakeWorker, toldSoFar: number) => {
      const { ready, detached, draining } = this.known.get(worker)!;
      return worker.running && ready && !detached && !draining && toldSoFar === 0 &&
        !(this.known.get(worker)!.lost && worker.told.length > 0);
    };
    const isInForce = ({ request: { service: { id }, generation } }: FakeWorker) =>
      [before, this.inForce].some((it) => it.get(id)?.generation === generation);
    const wasInForce = ({ request: { service: { id }, generation } }: FakeWorker) =>
      generation <= Math.max(...[before, this.inForce].map((it) => it.get(id)?.generation ?? 0));
    const then = [...told.keys()].filter((it) => counts(it, told.get(it)!));
    const now = this.launcher.running.filter((it) => counts(it, it.told.length));
    for (const { config } of this.inForce.values()) {
      const mine = (it: FakeWorker) =>
        it.request.service.id === config.id &&
        (wasInForce(it) || it.request.service.reloadStep !== undefined);
      const least = Math.min(then.filter(mine).length, config.procCount);
      const ready = now.filter(mine).length;
      assert(ready >= least, `${ready} of ${least} were left of ${config.id}`);
      if (config.procCount === 0) continue;
      for (const key of keysOf(config)) {
        const hasIt = ({ fds }: FakeWorker) =>
          fds.some((fd) => this.listeners.addresses.get(fd) === key);
        assert(
          !then.some((it) => hasIt(it) && isInForce(it)) || now.some(hasIt),
          `nobody was left for ${key}`,
        );
      }
    }
  }

  /** The serving workers of a version. */
  serving({ config: { id }, generation }: Accepted): FakeWorker[] {
    return this.launcher.running.filter((worker) =>
      worker.request.service.id === id && worker.request.generation === generation &&
      this.isServing(worker)
    );
  }

  /** The standbys of a version that were not told to stop. */
  isStopping = false;

  standbys({ config: { id }, generation }: Accepted): FakeWorker[] {
    return this.launcher.running.filter((worker) =>
      worker.request.service.id === id && worker.request.generation === generation &&
      worker.isStandby && this.#isUntold(worker)
    );
  }

  isServing(worker: FakeWorker): boolean {
    return !worker.isStandby && this.#isUntold(worker);
  }

  #isUntold(worker: FakeWorker): boolean {
    const { detached, draining } = this.known.get(worker)!;
    return worker.running && worker.told.length === 0 && !detached && !draining;
  }

  /**
   * During a stop only those listeners stay open that a process may hold that has not reported
   * draining.
   */
  #checkHeld(): void {
    const holding = this.launcher.running.filter((worker) => {
      const { detached, draining } = this.known.get(worker)!;
      return !detached && !draining;
    });
    const held = new Set(holding.flatMap(({ request }) => keysOf(request.service)));
    assertEquals(this.listeners.keys.filter((key) => !held.has(key)), []);
  }

  /** The invariants. */
  check(): void {
    const open = [...this.inForce.values()].map(({ config }) => config).concat(this.open);
    if (this.isStopping) this.#checkHeld();
    else assertEquals(this.listeners.keys, [...new Set(open.flatMap(keysOf))].sort());
    const generation = this.rollout?.generation ?? 0;
    const versions = [
      ...this.inForce.values(),
      ...this.open.map((config) => ({ config, generation })),
    ];
    for (const version of versions) {
      const { config: { id, procCount } } = version;
      const serving = this.serving(version).length;
      assert(serving <= procCount, `${serving} of ${procCount} ${id}`);
    }
    for (const { config } of this.inForce.values()) this.#checkSlots(config);
    for (const worker of this.launcher.running) {
      this.checkTold(worker);
      if (this.isServing(worker)) this.#checkServing(worker);
      else if (worker.isStandby && this.#isUntold(worker)) this.#checkStandby(worker);
    }
    this.#checkGenerations();
    const services = new Set(this.launcher.running.map(({ request }) => request.service.id));
    for (const { id } of open) services.add(id);
    assert(this.clock.pending <= services.size, "more timers than services");
    assert(this.clock.nextInMs !== 0, "a timer that is due is still there");
  }

  /** New connections go to the served slots of a service, if there are any. */
  #checkSlots(config: ResolvedService): void {
    const ready = this.launcher.running.filter((worker) =>
      worker.request.service.id === config.id && this.isServing(worker) &&
      this.known.get(worker)!.ready
    );
    for (const endpoint of config.endpoints) {
      const { key } = endpoint;
      const slots = [...this.listeners.addresses].flatMap(([fd, at]) => at === key ? [fd] : []);
      const chosen = this.listeners.chosen.get(key);
      if (slots.length < 2 || chosen === undefined) continue;
      const own = slots.slice(0, slotsOf(config, endpoint) ?? 1);
      const served = own.filter((fd) => ready.some(({ fds }) => fds.includes(fd)));
      assertEquals(chosen, served.length > 0 ? served : own, `connections to ${key}`);
    }
  }

  checkTold(worker: FakeWorker): void {
    const { toldAtEnd } = this.known.get(worker)!;
    if (toldAtEnd !== undefined) {
      assertEquals(worker.told.length, toldAtEnd, `${worker.pid} was told something after its end`);
    }
    const order = ["softstop", "SIGTERM", "SIGKILL"];
    const restarts = worker.told.map((told) => order.indexOf(told));
    assert(
      restarts.every((history, index) => index === 0 || history > restarts[index - 1]),
      `${restarts}`,
    );
    if (worker.told.includes("SIGKILL")) assert(worker.told.includes("SIGTERM"));
  }

  /**
   * A serving worker is of a current version or a candidate, or is a fallback until its replacement
   * is ready.
   */
  #checkServing(worker: FakeWorker): void {
    const { service: { id, reloadStep }, generation } = worker.request;
    const version = this.inForce.get(id);
    if (version?.generation === generation) return;
    if (generation === this.rollout?.generation && this.open.some((it) => it.id === id)) {
      return;
    }
    assert(version !== undefined, `${worker.pid} serves for a service that is gone`);
    assert(this.known.get(worker)!.ready, `${worker.pid} serves nobody`);
    assert(generation < version.generation || reloadStep !== undefined, `${worker.pid} was undone`);
    const ready = this.serving(version).filter((other) => this.known.get(other)!.ready);
    assert(ready.length < version.config.procCount, `${worker.pid} is not needed`);
  }

  /** A standby is of a current version that is configured to have standbys. */
  #checkStandby({ pid, request: { service: { id }, generation } }: FakeWorker): void {
    const version = this.inForce.get(id);
    assertEquals(generation, version?.generation, `${pid} is a standby of another version`);
    const { standbyCount } = version!.config.supervision;
    assert(this.standbys(version!).length <= standbyCount, `too many standbys of ${id}`);
  }

  /** The number of old generations that drain is limited. */
  #checkGenerations(): void {
    for (const id of new Set(this.launcher.running.map(({ request }) => request.service.id))) {
      const draining = this.launcher.running.filter((worker) => {
        const { detached, draining } = this.known.get(worker)!;
        const { service, generation } = worker.request;
        const isCandidate = generation === this.rollout?.generation &&
          this.open.some((config) => config.id === id);
        return service.id === id && !detached && !worker.told.includes("SIGTERM") &&
          (draining || worker.told.length > 0) && !isCandidate &&
          generation !== this.inForce.get(id)?.generation;
      });
      const { size } = new Set(draining.map(({ request }) => request.generation));
      assert(size <= MAX_GENERATIONS, `${size} old generations of ${id} drain`);
    }
  }
}

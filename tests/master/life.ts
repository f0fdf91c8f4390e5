/**
 * One random life of a supervisor, and what must hold in it. It knows what the workers do and were
 * told, and which version of a service is in force, from a plan that is asked for and not carried out.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../src/config/errors.ts";
import { keysOf, type ServiceConfig } from "../../src/config/service.ts";
import { EARLY_DEATH_MS } from "../../src/master/policy.ts";
import type { UndoneReload } from "../../src/master/trials.ts";
import { Supervisor } from "../../src/master/supervisor.ts";
import { FakeClock } from "../../src/testing/fake_clock.ts";
import { FakeLauncher, type FakeWorker } from "../../src/testing/fake_launcher.ts";
import { FakeListeners } from "../../src/testing/fake_listeners.ts";
import { pick, type Random } from "../support/random.ts";
import { serviceOf } from "./service_configs.ts";

const IDS = ["a", "b", "c", "d"];
const ADDRESSES = ["0:80", "0:81", "[::1]:82", "local:/run/s", "fifo:/run/f", "0:83", "0:84"];
const MAX_GENERATIONS = 3;

/** What is known of a worker without asking the supervisor. */
interface Known {
  readonly startedAtMs: number;
  ready: boolean;
  detached: boolean;
  draining: boolean;
  /** It can tell nothing any more but its end. */
  lost: boolean;
  /** What it had been told when it could be told nothing more. */
  toldAtEnd?: number;
}

/** A configuration that was accepted for a service, and in which reload. */
interface Accepted {
  readonly config: ServiceConfig;
  readonly generation: number;
}

/** A reload that is under way. */
interface Tried {
  readonly generation: number;
  /** Those whose processes are to be replaced, and new ones. */
  readonly configs: ReadonlyMap<string, ServiceConfig>;
  readonly logBefore: number;
  outcome?: readonly UndoneReload[];
}

/** One life, from an empty supervisor to a stopped one. */
export class Life {
  /** What was done, to be read when something is wrong. */
  readonly steps: string[] = [];
  /** How often services went which way in a reload. */
  readonly seen = { passed: 0, undone: 0, left: 0 };
  readonly #random: Random;
  readonly #clock = new FakeClock();
  readonly #launcher = new FakeLauncher();
  readonly #listeners = new FakeListeners();
  readonly #log: string[] = [];
  readonly #supervisor = new Supervisor({
    clock: this.#clock,
    launcher: this.#launcher,
    listeners: this.#listeners,
    log: (text) => this.#log.push(text),
    maxGenerations: () => MAX_GENERATIONS,
  });
  readonly #known = new Map<FakeWorker, Known>();
  /** When each version of a service may start something, for those that lost a worker too early. */
  readonly #startAtMs = new Map<string, number>();
  #inForce = new Map<string, Accepted>();
  #tried: Tried | undefined;
  /** The configurations of it that are still on trial. */
  #open: readonly ServiceConfig[] = [];
  #generation = 1;
  #configs = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#launcher.onLaunch = (worker) => this.#onLaunch(worker);
  }

  /**
   * Lives.
   *
   * @param steps How many moves it makes before it is stopped.
   */
  async run(steps: number): Promise<void> {
    const first = this.#randomServices();
    for (const config of first) this.#inForce.set(config.id, { config, generation: 1 });
    this.#supervisor.start(first);
    this.#check();
    for (let step = 0; step < steps; step++) {
      await pick(this.#random, this.#moves)();
    }
    await this.#stop();
  }

  readonly #moves: readonly (() => Promise<void>)[] = [
    () => this.#everybodyReady(),
    () => this.#step(() => this.#worker("ready", (worker) => this.#tellReady(worker))),
    () => this.#step(() => this.#worker("ready", (worker) => this.#tellReady(worker))),
    () => this.#step(() => this.#worker("exit", (worker) => this.#exit(worker))),
    () => this.#step(() => this.#worker("exit", (worker) => this.#exit(worker))),
    () => this.#step(() => this.#worker("detach", (worker) => this.#tellDetach(worker))),
    () => this.#step(() => this.#worker("draining", (worker) => this.#tellDraining(worker))),
    () => this.#step(() => this.#worker("lost", (worker) => this.#tellLost(worker))),
    () => this.#advance(this.#random(50)),
    () => this.#advance(this.#random(2_000)),
    () => this.#advance(this.#random(40_000)),
    () => this.#step(() => this.#reload()),
    () => this.#step(() => this.#reload()),
    () => this.#step(() => this.#refusedReload()),
    () => this.#step(() => this.#failLaunches()),
    () => this.#comeToRest(),
    () => this.#waitForVerdict(),
  ];

  /** Makes a move, and looks at what it made the supervisor do. */
  async #step(move: () => void): Promise<void> {
    const told = new Map(this.#launcher.running.map((worker) => [worker, worker.told.length]));
    const before = this.#inForce;
    move();
    // The outcome of a reload.
    await Promise.resolve();
    await Promise.resolve();
    this.#follow();
    this.#checkStops(told, before);
    this.#check();
  }

  /** Takes note of the versions that have come into force, and of a reload that is over. */
  #follow(): void {
    this.#look();
    const { outcome } = this.#tried ?? {};
    if (outcome === undefined) return;
    assertEquals(this.#open, [], "a reload is over before all of it has a verdict");
    const told = outcome.flatMap(({ services }) => services);
    assertEquals(told.toSorted(), this.#undone().toSorted());
    this.seen.undone += told.length;
    this.seen.passed += this.#tried!.configs.size - told.length;
    this.#tried = undefined;
  }

  /** Which version of each service is in force: that which a reload would find unchanged. */
  #versions(): Map<string, Accepted> {
    const candidates = [...this.#inForce.values()];
    for (const config of this.#tried?.configs.values() ?? []) {
      candidates.push({ config, generation: this.#tried!.generation });
    }
    const found = candidates.filter(({ config }) =>
      this.#supervisor.plan([{ ...config, reload: "changed" }]).left.length > 0
    );
    return new Map(found.map((version) => [version.config.id, version]));
  }

  /** The services whose reload was undone, by the log. */
  #undone(): string[] {
    if (this.#tried === undefined) return [];
    return this.#log.slice(this.#tried.logBefore)
      .flatMap((line) => /^reload undone for (.*?):/.exec(line)?.[1].split(" ") ?? []);
  }

  /** Finds out what is in force, and what is still on trial. */
  #look(): void {
    if (this.#tried === undefined) return;
    this.#inForce = this.#versions();
    const undone = this.#undone();
    this.#open = [...this.#tried.configs.values()].filter((config) =>
      this.#inForce.get(config.id)?.config !== config && !undone.includes(config.id)
    );
  }

  #onLaunch(worker: FakeWorker): void {
    const startedAtMs = this.#clock.nowMs();
    const nothing = { ready: false, detached: false, draining: false, lost: false };
    this.#known.set(worker, { startedAtMs, ...nothing });
    const { service, generation, fds } = worker.request;
    this.#look();
    const version = this.#inForce.get(service.id);
    const isTrial = generation !== version?.generation;
    const expected = isTrial ? this.#tried?.configs.get(service.id) : version?.config;
    assertEquals(service.fingerprint, expected?.fingerprint, "a version that is not wanted");
    if (isTrial) assertEquals(generation, this.#tried?.generation);
    const startAtMs = this.#startAtMs.get(`${service.id} ${generation}`) ?? 0;
    assert(startedAtMs >= startAtMs, "started too early");
    const keys = fds.map((fd) => this.#listeners.addresses.get(fd));
    assertEquals(keys, keysOf(service));
    this.#checkRoom(worker, version);
  }

  /** A reload with a step never has more processes, on its way there nor on its way back. */
  #checkRoom({ request: { service, generation } }: FakeWorker, version?: Accepted): void {
    const alive = this.#launcher.running.filter((other) =>
      other.request.service.id === service.id && !this.#known.get(other)!.detached &&
      other.request.generation >= (version?.generation ?? generation)
    );
    if (generation !== version?.generation) {
      const most = Math.max(service.procCount, version?.config.procCount ?? 0);
      const bound = most + (service.reloadStep ?? Infinity);
      assert(alive.length <= bound, `${alive.length} of ${bound} processes of ${service.id}`);
      return;
    }
    const tried = this.#open.some(({ id }) => id === service.id);
    const older = alive.filter((other) =>
      !tried || other.request.generation !== this.#tried?.generation
    );
    const steps = older.filter((other) => other.request.generation !== generation)
      .flatMap((other) => other.request.service.reloadStep ?? []);
    const bound = service.procCount + (steps.length === 0 ? Infinity : Math.max(...steps));
    assert(older.length <= bound, `${older.length} of ${bound} processes of ${service.id}, undone`);
  }

  /**
   * However many were ready to serve a service or an address: the supervisor itself leaves no fewer
   * of them than there should be.
   */
  #checkStops(told: ReadonlyMap<FakeWorker, number>, before: ReadonlyMap<string, Accepted>): void {
    const counts = (worker: FakeWorker, toldSoFar: number) => {
      const { ready, detached, draining } = this.#known.get(worker)!;
      return worker.running && ready && !detached && !draining && toldSoFar === 0 &&
        !(this.#known.get(worker)!.lost && worker.told.length > 0);
    };
    const isInForce = ({ request: { service: { id }, generation } }: FakeWorker) =>
      [before, this.#inForce].some((it) => it.get(id)?.generation === generation);
    const wasInForce = ({ request: { service: { id }, generation } }: FakeWorker) =>
      generation <= Math.max(...[before, this.#inForce].map((it) => it.get(id)?.generation ?? 0));
    const then = [...told.keys()].filter((it) => counts(it, told.get(it)!));
    const now = this.#launcher.running.filter((it) => counts(it, it.told.length));
    for (const { config } of this.#inForce.values()) {
      const mine = (it: FakeWorker) =>
        it.request.service.id === config.id &&
        (wasInForce(it) || it.request.service.reloadStep !== undefined);
      const least = Math.min(then.filter(mine).length, config.procCount);
      const ready = now.filter(mine).length;
      assert(ready >= least, `${ready} of ${least} were left of ${config.id}`);
      if (config.procCount === 0) continue;
      for (const [fd, key] of this.#listeners.addresses) {
        if (!keysOf(config).includes(key)) continue;
        const hasIt = ({ request }: FakeWorker) => request.fds.includes(fd);
        assert(
          !then.some((it) => hasIt(it) && isInForce(it)) || now.some(hasIt),
          `nobody was left for ${key}`,
        );
      }
    }
  }

  /** Running workers of a version that fill a place. */
  #serving({ config: { id }, generation }: Accepted): FakeWorker[] {
    return this.#launcher.running.filter((worker) =>
      worker.request.service.id === id && worker.request.generation === generation &&
      this.#isServing(worker)
    );
  }

  #isServing(worker: FakeWorker): boolean {
    const { detached, draining } = this.#known.get(worker)!;
    return worker.running && worker.told.length === 0 && !detached && !draining;
  }

  /** What holds at any time. */
  #check(): void {
    const open = [...this.#inForce.values()].map(({ config }) => config).concat(this.#open);
    assertEquals(this.#listeners.keys, [...new Set(open.flatMap(keysOf))].sort());
    const generation = this.#tried?.generation ?? 0;
    const versions = [
      ...this.#inForce.values(),
      ...this.#open.map((config) => ({ config, generation })),
    ];
    for (const version of versions) {
      const { config: { id, procCount } } = version;
      const serving = this.#serving(version).length;
      assert(serving <= procCount, `${serving} of ${procCount} ${id}`);
    }
    for (const worker of this.#launcher.running) {
      this.#checkTold(worker);
      if (this.#isServing(worker)) this.#checkServing(worker);
    }
    this.#checkGenerations();
    const services = new Set(this.#launcher.running.map(({ request }) => request.service.id));
    for (const { id } of open) services.add(id);
    assert(this.#clock.pending <= services.size, "more timers than services");
    assert(this.#clock.nextInMs !== 0, "a timer that is due is still there");
  }

  #checkTold(worker: FakeWorker): void {
    const { toldAtEnd } = this.#known.get(worker)!;
    if (toldAtEnd !== undefined) {
      assertEquals(worker.told.length, toldAtEnd, `${worker.pid} was told something after its end`);
    }
    const order = ["softstop", "SIGTERM", "SIGKILL"];
    const places = worker.told.map((told) => order.indexOf(told));
    assert(places.every((place, index) => index === 0 || place > places[index - 1]), `${places}`);
    if (worker.told.includes("SIGKILL")) assert(worker.told.includes("SIGTERM"));
  }

  /** Who serves is of a version in force or on trial, or stands in until its successor is ready. */
  #checkServing(worker: FakeWorker): void {
    const { service: { id, reloadStep }, generation } = worker.request;
    const version = this.#inForce.get(id);
    if (version?.generation === generation) return;
    if (generation === this.#tried?.generation && this.#open.some((it) => it.id === id)) {
      return;
    }
    assert(version !== undefined, `${worker.pid} serves for a service that is gone`);
    assert(this.#known.get(worker)!.ready, `${worker.pid} serves nobody`);
    assert(generation < version.generation || reloadStep !== undefined, `${worker.pid} was undone`);
    const ready = this.#serving(version).filter((other) => this.#known.get(other)!.ready);
    assert(ready.length < version.config.procCount, `${worker.pid} is not needed`);
  }

  /** Not too many old generations drain. */
  #checkGenerations(): void {
    for (const id of IDS) {
      const draining = this.#launcher.running.filter((worker) => {
        const { detached, draining } = this.#known.get(worker)!;
        const { service, generation } = worker.request;
        const isOnTrial = generation === this.#tried?.generation &&
          this.#open.some((config) => config.id === id);
        return service.id === id && !detached && !worker.told.includes("SIGTERM") &&
          (draining || worker.told.length > 0) && !isOnTrial &&
          generation !== this.#inForce.get(id)?.generation;
      });
      const { size } = new Set(draining.map(({ request }) => request.generation));
      assert(size <= MAX_GENERATIONS, `${size} old generations of ${id} drain`);
    }
  }

  #worker(what: string, tell: (worker: FakeWorker) => void): void {
    const able = this.#launcher.running.filter((worker) =>
      what === "exit" || !this.#known.get(worker)!.lost
    );
    if (able.length === 0) return;
    const worker = pick(this.#random, able);
    this.steps.push(`${what} ${worker.pid}`);
    tell(worker);
  }

  #tellReady(worker: FakeWorker): void {
    // Noted first: it may be just what the supervisor waits for.
    this.#known.get(worker)!.ready = true;
    worker.listener.onReady();
  }

  async #everybodyReady(): Promise<void> {
    this.steps.push("all ready");
    for (const worker of this.#launcher.running) {
      if (!this.#known.get(worker)!.lost) await this.#step(() => this.#tellReady(worker));
    }
  }

  /** Notes that a worker is about to give its place up, if it has one. */
  #leaves(worker: FakeWorker): void {
    if (!this.#isServing(worker)) return;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#known.get(worker)!.startedAtMs >= EARLY_DEATH_MS) return;
    const { service: { id }, generation } = worker.request;
    this.#startAtMs.set(`${id} ${generation}`, nowMs + EARLY_DEATH_MS);
  }

  #tellDetach(worker: FakeWorker): void {
    this.#leaves(worker);
    const known = this.#known.get(worker)!;
    // A server that was sent SIGTERM ends, whatever it said in between.
    if (!worker.told.some((told) => told !== "softstop")) {
      known.detached = true;
      known.toldAtEnd ??= worker.told.length;
    }
    worker.listener.onDetach();
  }

  #tellDraining(worker: FakeWorker): void {
    this.#leaves(worker);
    this.#known.get(worker)!.draining = true;
    worker.listener.onDraining(this.#random(40));
  }

  #tellLost(worker: FakeWorker): void {
    this.#known.get(worker)!.lost = true;
    worker.listener.onLost(pick(this.#random, [undefined, new Error("broken")]));
  }

  #exit(worker: FakeWorker): void {
    this.#leaves(worker);
    this.#known.get(worker)!.toldAtEnd ??= worker.told.length;
    worker.exit(worker.told.includes("SIGKILL") ? "SIGKILL" : null);
  }

  /** Lets time go by, one timer after the other. */
  async #advance(ms: number): Promise<void> {
    this.steps.push(`advance ${ms}`);
    const endMs = this.#clock.nowMs() + ms;
    for (;;) {
      const leftMs = endMs - this.#clock.nowMs();
      const nextMs = Math.min(this.#clock.nextInMs ?? Infinity, leftMs);
      await this.#step(() => this.#clock.advance(nextMs));
      if (nextMs === leftMs) return;
    }
  }

  #failLaunches(): void {
    const fail = this.#random(3) === 0;
    this.steps.push(fail ? "launches fail" : "launches succeed");
    this.#launcher.refusal = fail ? new Error("no more processes") : undefined;
  }

  /** Services with different addresses, each of which somebody has at most. */
  #randomServices(): ServiceConfig[] {
    const left = [...ADDRESSES];
    const take = () => left.splice(this.#random(left.length), 1)[0];
    return IDS.filter(() => this.#random(4) > 0).flatMap((id) => {
      const before = this.#inForce.get(id)?.config;
      // The very same, if nobody has taken its addresses yet.
      if (before !== undefined && this.#random(4) === 0) {
        const addresses = before.endpoints.map(({ address }) => address);
        if (addresses.every((address) => left.includes(address))) {
          for (const address of addresses) left.splice(left.indexOf(address), 1);
          return [{ ...before, reload: "changed" as const }];
        }
      }
      const addresses = Array.from({ length: 1 + this.#random(2) }, take).filter((a) => a);
      return addresses.length === 0 ? [] : [this.#randomService(id, addresses.join())];
    });
  }

  #randomService(id: string, addresses: string): ServiceConfig {
    const settings = {
      // Without a wait that grows, all places are filled soon.
      "server-backoff-max": "0",
      "server-soak": pick(this.#random, ["0", "0", "2", "10"]),
      "server-ready-timeout": pick(this.#random, ["30", "5"]),
      ...(this.#random(3) === 0 && { "server-reload-step": `${1 + this.#random(2)}` }),
    };
    const config = serviceOf(id, { addresses, procCount: this.#random(5), settings });
    return { ...config, fingerprint: `${++this.#configs}` };
  }

  #reload(): void {
    if (this.#tried !== undefined) return;
    const wanted = this.#randomServices();
    const together = this.#random(5) === 0;
    const text = wanted.map(({ id, procCount, reloadStep, reload, endpoints }) =>
      `${id}×${procCount}${reloadStep === undefined ? "" : `+${reloadStep}`}(${
        endpoints.map(({ address }) => address)
      })${reload}`
    );
    this.steps.push(`reload ${text.join(" ")}${together ? " together" : ""}`);
    const before = new Map([...this.#listeners.addresses].map(([fd, key]) => [key, fd]));
    const { left, kept } = this.#supervisor.plan(wanted);
    const configs = wanted.filter(({ id }) => !left.includes(id)).map((it) => [it.id, it] as const);
    this.seen.left += left.length;
    // A reload forgets how processes have fared, also those that it leaves alone.
    for (const id of left) this.#startAtMs.delete(`${id} ${this.#inForce.get(id)!.generation}`);
    const generation = ++this.#generation;
    const tried: Tried = {
      generation,
      configs: new Map(configs),
      logBefore: this.#log.length,
    };
    this.#tried = tried;
    const reload = this.#supervisor.reload(wanted, [], { together });
    void reload.outcome.then((outcome) => tried.outcome = outcome);
    for (const key of kept) {
      const now = this.#listeners.addresses.get(before.get(key)!);
      assert(now === key || !this.#listeners.keys.includes(key), "not the same socket");
    }
  }

  #refusedReload(): void {
    if (this.#tried !== undefined) return;
    const wanted = this.#randomServices();
    const keys = wanted.flatMap(keysOf).filter((key) => !this.#listeners.keys.includes(key));
    if (keys.length === 0) return;
    const key = pick(this.#random, keys);
    this.steps.push(`reload without ${key}`);
    const before = [[...this.#listeners.addresses], this.#launcher.running.map(({ pid }) => pid)];
    this.#listeners.refusals.set(key, new Error("taken"));
    assertThrows(() => this.#supervisor.reload(wanted), ConfigError);
    this.#listeners.refusals.clear();
    const after = [[...this.#listeners.addresses], this.#launcher.running.map(({ pid }) => pid)];
    assertEquals(after, before, "a refused reload has changed something");
  }

  /** However the workers fare, time alone brings a verdict, if what was killed is gone. */
  async #waitForVerdict(): Promise<void> {
    this.#launcher.refusal = undefined;
    this.steps.push("wait for the verdict");
    for (let second = 0; this.#tried !== undefined; second++) {
      assert(second < 600, "a reload without a verdict");
      await this.#advance(1_000);
      for (const worker of this.#launcher.running) {
        if (worker.told.includes("SIGKILL")) await this.#step(() => this.#exit(worker));
      }
    }
  }

  /** Once nothing hinders it, every place is filled, and there is nothing else and no timer. */
  async #comeToRest(): Promise<void> {
    this.#launcher.refusal = undefined;
    this.steps.push("come to rest");
    const isAtRest = () =>
      this.#tried === undefined && this.#clock.pending === 0 &&
      this.#launcher.running.every((worker) => {
        const { ready, detached } = this.#known.get(worker)!;
        return detached || ready && this.#isServing(worker);
      });
    for (let round = 0; !isAtRest(); round++) {
      assert(round < 100, "no rest");
      for (const worker of this.#launcher.running) {
        const { detached, lost } = this.#known.get(worker)!;
        if (detached) continue;
        if (lost || !this.#isServing(worker)) await this.#step(() => this.#exit(worker));
        else await this.#step(() => this.#tellReady(worker));
      }
      await this.#advance(this.#clock.nextInMs ?? 0);
    }
    for (const version of this.#inForce.values()) {
      assertEquals(this.#serving(version).length, version.config.procCount, version.config.id);
    }
    const inForce = (worker: FakeWorker) =>
      worker.request.generation === this.#inForce.get(worker.request.service.id)?.generation;
    for (const worker of this.#launcher.running.filter((worker) => !inForce(worker))) {
      assert(!this.#isServing(worker), `${worker.pid} still serves`);
    }
  }

  async #stop(): Promise<void> {
    const timeoutMs = this.#random(10_000);
    this.steps.push(`stop ${timeoutMs}`);
    let stopped = false;
    const tried = this.#tried;
    const whenStopped = this.#supervisor.stop(timeoutMs).then(() => stopped = true);
    if (this.#random(2) === 0) this.#supervisor.hasten();
    this.#inForce = new Map();
    this.#tried = undefined;
    this.#open = [];
    await Promise.resolve();
    await Promise.resolve();
    if (tried !== undefined) assert(tried.outcome !== undefined, "a reload goes on");
    this.#check();
    const count = this.#launcher.workers.length;
    this.#clock.advance(timeoutMs);
    assertEquals(this.#launcher.workers.length, count, "started something while stopping");
    for (const worker of this.#launcher.running) {
      this.#checkTold(worker);
      if (this.#known.get(worker)!.detached) continue;
      assert(worker.told.includes("SIGKILL"), `${worker.pid} was not killed in time`);
      await Promise.resolve();
      assert(!stopped, "stopped before the last worker has ended");
      this.#exit(worker);
    }
    await whenStopped;
    assertEquals(this.#clock.pending, 0, "timers are left");
    assertEquals(this.#listeners.keys, []);
    for (const worker of this.#launcher.running) this.#exit(worker);
    for (const worker of this.#launcher.workers) this.#checkTold(worker);
    this.#check();
    assertEquals(this.#clock.pending, 0, "timers are left");
  }
}

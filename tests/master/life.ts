/**
 * One random life of a supervisor, from its start to its stop, with every kind of event in any
 * order.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../src/config/errors.ts";
import { keysOf } from "../../src/config/endpoints.ts";
import type { ResolvedService } from "../../src/master/policy/resolved_service.ts";
import { EARLY_DEATH_MS } from "../../src/master/policy/timeouts.ts";
import type { FakeWorker } from "../fakes/fake_launcher.ts";
import { pick, type Random } from "../support/random.ts";
import { serviceOf } from "./service_configs.ts";
import { type RolloutUnderWay, WatchedSupervisor } from "./watched_supervisor.ts";

const IDS = ["a", "b", "c", "d"];
const ADDRESSES = ["0:80", "0:81", "[::1]:82", "local:/run/s", "fifo:/run/f", "0:83", "0:84"];

/** One life, from an empty supervisor to a stopped one. */
export class Life {
  /** The moves so far, for a failure's message. */
  readonly steps: string[] = [];
  /** How often the reloads of services had each outcome. */
  readonly seen = { passed: 0, undone: 0, left: 0, activated: 0 };
  readonly #random: Random;
  readonly #it = new WatchedSupervisor();
  #generation = 1;
  #configs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * Runs the life.
   *
   * @param steps How many moves it makes before it is stopped.
   */
  async run(steps: number): Promise<void> {
    const first = this.#randomServices();
    for (const config of first) this.#it.inForce.set(config.id, { config, generation: 1 });
    this.#it.supervisor.start(first);
    this.#it.check();
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
    () => this.#waitForOutcome(),
  ];

  /** Makes a move, and checks what the supervisor has done. */
  async #step(move: () => void): Promise<void> {
    const told = new Map(this.#it.launcher.running.map((worker) => [worker, worker.told.length]));
    const before = this.#it.inForce;
    move();
    // The outcome of a reload.
    await Promise.resolve();
    await Promise.resolve();
    this.#follow();
    this.#it.checkStops(told, before);
    this.#it.check();
  }

  /** Records new current versions, and the end of a reload. */
  #follow(): void {
    this.#it.look();
    const { outcome } = this.#it.rollout ?? {};
    if (outcome === undefined) return;
    assertEquals(this.#it.open, [], "a reload is over before all of it has an outcome");
    const told = outcome.flatMap(({ services }) => services);
    assertEquals(told.toSorted(), this.#it.undone().toSorted());
    this.seen.undone += told.length;
    this.seen.passed += this.#it.rollout!.configs.size - told.length;
    this.#it.rollout = undefined;
  }

  #worker(what: string, tell: (worker: FakeWorker) => void): void {
    const able = this.#it.launcher.running.filter((worker) =>
      what === "exit" || !this.#it.known.get(worker)!.lost
    );
    if (able.length === 0) return;
    const worker = pick(this.#random, able);
    this.steps.push(`${what} ${worker.pid}`);
    tell(worker);
  }

  /** Reports that a worker is ready, or that a standby has loaded. */
  #tellReady(worker: FakeWorker): void {
    if (worker.isStandby) {
      this.#it.known.get(worker)!.loaded = true;
      return worker.listener.onLoaded();
    }
    // Recorded first, since the supervisor may wait for just this.
    this.#it.known.get(worker)!.ready = true;
    worker.listener.onReady();
  }

  async #everybodyReady(): Promise<void> {
    this.steps.push("all ready");
    for (const worker of this.#it.launcher.running) {
      if (!this.#it.known.get(worker)!.lost) await this.#step(() => this.#tellReady(worker));
    }
  }

  /** Records that a serving worker is about to leave its slot. */
  #leaves(worker: FakeWorker): void {
    if (!this.#it.isServing(worker)) return;
    // The end of a standby that was just activated costs its service nothing.
    if (worker.assignment !== undefined && !this.#it.known.get(worker)!.ready) return;
    const nowMs = this.#it.clock.nowMs();
    if (nowMs - this.#it.known.get(worker)!.startedAtMs >= EARLY_DEATH_MS) return;
    const { service: { id }, generation } = worker.request;
    this.#it.startAtMs.set(`${id} ${generation}`, nowMs + EARLY_DEATH_MS);
  }

  #tellDetach(worker: FakeWorker): void {
    this.#leaves(worker);
    const known = this.#it.known.get(worker)!;
    // A server that was sent SIGTERM ends, whatever messages came in between.
    if (!worker.told.some((told) => told !== "softstop")) {
      known.detached = true;
      known.toldAtEnd ??= worker.told.length;
    }
    worker.listener.onDetach();
  }

  #tellDraining(worker: FakeWorker): void {
    this.#leaves(worker);
    this.#it.known.get(worker)!.draining = true;
    worker.listener.onDraining(this.#random(40));
  }

  #tellLost(worker: FakeWorker): void {
    this.#it.known.get(worker)!.lost = true;
    worker.listener.onLost(pick(this.#random, [undefined, new Error("broken")]));
  }

  #exit(worker: FakeWorker): void {
    this.#leaves(worker);
    this.#it.known.get(worker)!.toldAtEnd ??= worker.told.length;
    worker.exit(worker.told.includes("SIGKILL") ? "SIGKILL" : null);
  }

  /** Advances the time, one timer after the other. */
  async #advance(ms: number): Promise<void> {
    this.steps.push(`advance ${ms}`);
    const endMs = this.#it.clock.nowMs() + ms;
    for (;;) {
      const leftMs = endMs - this.#it.clock.nowMs();
      const nextMs = Math.min(this.#it.clock.nextInMs ?? Infinity, leftMs);
      await this.#step(() => this.#it.clock.advance(nextMs));
      if (nextMs === leftMs) return;
    }
  }

  #failLaunches(): void {
    const fail = this.#random(3) === 0;
    this.steps.push(fail ? "launches fail" : "launches succeed");
    this.#it.launcher.refusal = fail ? new Error("no more processes") : undefined;
  }

  /** Services with distinct addresses. */
  #randomServices(): ResolvedService[] {
    const left = [...ADDRESSES];
    const take = () => left.splice(this.#random(left.length), 1)[0];
    return IDS.filter(() => this.#random(4) > 0).flatMap((id) => {
      const before = this.#it.inForce.get(id)?.config;
      // The same service as before, unless another one has taken its addresses.
      if (before !== undefined && this.#random(4) === 0) {
        const addresses = before.endpoints.map(({ text }) => text);
        if (addresses.every((address) => left.includes(address))) {
          for (const address of addresses) left.splice(left.indexOf(address), 1);
          return [{ ...before, reload: "changed" as const }];
        }
      }
      const addresses = Array.from({ length: 1 + this.#random(2) }, take).filter((a) => a);
      return addresses.length === 0 ? [] : [this.#randomService(id, addresses.join())];
    });
  }

  #randomService(id: string, addresses: string): ResolvedService {
    const settings = {
      // Without a growing back-off, all processes are started soon.
      "server-backoff-max": "0",
      "server-soak": pick(this.#random, ["0", "0", "2", "10"]),
      "server-ready-timeout": pick(this.#random, ["30", "5"]),
      ...(this.#random(3) === 0 && { "server-reload-step": `${1 + this.#random(2)}` }),
      "server-standby-count": pick(this.#random, ["0", "0", "1", "2"]),
      "server-balance": ["shared", "reuseport"][this.#configs % 2],
    };
    const config = serviceOf(id, { addresses, procCount: this.#random(5), settings });
    return { ...config, fingerprint: `${++this.#configs}` };
  }

  #reload(): void {
    if (this.#it.rollout !== undefined) return;
    const wanted = this.#randomServices();
    const together = this.#random(5) === 0;
    const text = wanted.map(({ id, procCount, reloadStep, reload, endpoints }) =>
      `${id}×${procCount}${reloadStep === undefined ? "" : `+${reloadStep}`}(${
        endpoints.map(({ text }) => text)
      })${reload}`
    );
    this.steps.push(`reload ${text.join(" ")}${together ? " together" : ""}`);
    // Of several slots the first one, which stays as long as the address.
    const before = new Map(
      [...this.#it.listeners.addresses].map(([fd, key]) => [key, fd] as const).toReversed(),
    );
    const { left, kept } = this.#it.supervisor.plan(wanted);
    const configs = wanted.filter(({ id }) => !left.includes(id)).map((it) => [it.id, it] as const);
    this.seen.left += left.length;
    // A reload resets the restart histories, even of services that it leaves alone.
    for (const id of left) {
      this.#it.startAtMs.delete(`${id} ${this.#it.inForce.get(id)!.generation}`);
    }
    const generation = ++this.#generation;
    const rollout: RolloutUnderWay = {
      generation,
      configs: new Map(configs),
      logBefore: this.#it.log.length,
    };
    this.#it.rollout = rollout;
    const reload = this.#it.supervisor.reload(wanted, [], { together });
    void reload.outcome.then((outcome) => rollout.outcome = outcome);
    for (const key of kept) {
      const now = this.#it.listeners.addresses.get(before.get(key)!);
      assert(now === key || !this.#it.listeners.keys.includes(key), "not the same socket");
    }
  }

  #refusedReload(): void {
    if (this.#it.rollout !== undefined) return;
    const wanted = this.#randomServices();
    const keys = wanted.flatMap(keysOf).filter((key) => !this.#it.listeners.keys.includes(key));
    if (keys.length === 0) return;
    const key = pick(this.#random, keys);
    this.steps.push(`reload without ${key}`);
    const before = [
      [...this.#it.listeners.addresses],
      this.#it.launcher.running.map(({ pid }) => pid),
    ];
    this.#it.listeners.refusals.set(key, new Error("taken"));
    assertThrows(() => this.#it.supervisor.reload(wanted), ConfigError);
    this.#it.listeners.refusals.clear();
    const after = [
      [...this.#it.listeners.addresses],
      this.#it.launcher.running.map(({ pid }) => pid),
    ];
    assertEquals(after, before, "a refused reload has changed something");
  }

  /** Time alone brings an outcome, whatever the workers do, once killed processes have ended. */
  async #waitForOutcome(): Promise<void> {
    this.#it.launcher.refusal = undefined;
    this.steps.push("wait for the outcome");
    for (let second = 0; this.#it.rollout !== undefined; second++) {
      assert(second < 600, "a reload without an outcome");
      await this.#advance(1_000);
      for (const worker of this.#it.launcher.running) {
        if (worker.told.includes("SIGKILL")) await this.#step(() => this.#exit(worker));
      }
    }
  }

  /**
   * Once nothing fails any more, all processes serve, and there is no other process and no timer.
   */
  async #comeToRest(): Promise<void> {
    this.#it.launcher.refusal = undefined;
    this.steps.push("come to rest");
    const isAtRest = () =>
      this.#it.rollout === undefined && this.#it.clock.pending === 0 &&
      this.#it.launcher.running.every((worker) => {
        const { ready, loaded, detached } = this.#it.known.get(worker)!;
        return detached || ready && this.#it.isServing(worker) ||
          loaded && this.#isIdleStandby(worker);
      });
    for (let round = 0; !isAtRest(); round++) {
      assert(round < 200, "no rest");
      for (const worker of this.#it.launcher.running) {
        const { detached, lost } = this.#it.known.get(worker)!;
        if (detached) continue;
        const isOfUse = this.#it.isServing(worker) || this.#isIdleStandby(worker);
        if (lost || !isOfUse) await this.#step(() => this.#exit(worker));
        else await this.#step(() => this.#tellReady(worker));
      }
      // Processes that have just started must be ready in time.
      await this.#advance(Math.min(this.#it.clock.nextInMs ?? 0, 1_000));
    }
    for (const version of this.#it.inForce.values()) {
      const { id, procCount, supervision: { standbyCount } } = version.config;
      assertEquals(this.#it.serving(version).length, procCount, id);
      const standbys = this.#it.standbys(version).length;
      assertEquals(standbys, procCount === 0 ? 0 : standbyCount, `standbys of ${id}`);
    }
    const inForce = (worker: FakeWorker) =>
      worker.request.generation === this.#it.inForce.get(worker.request.service.id)?.generation;
    for (const worker of this.#it.launcher.running.filter((worker) => !inForce(worker))) {
      assert(!this.#it.isServing(worker), `${worker.pid} still serves`);
    }
  }

  #isIdleStandby(worker: FakeWorker): boolean {
    return worker.isStandby && worker.running && worker.told.length === 0 &&
      !this.#it.known.get(worker)!.draining;
  }

  async #stop(): Promise<void> {
    const timeoutMs = this.#random(10_000);
    this.steps.push(`stop ${timeoutMs}`);
    let stopped = false;
    const rollout = this.#it.rollout;
    const whenStopped = this.#it.supervisor.stop(timeoutMs).then(() => stopped = true);
    if (this.#random(2) === 0) this.#it.supervisor.shortenStop();
    this.#it.isStopping = true;
    this.#it.inForce = new Map();
    this.#it.rollout = undefined;
    this.#it.open = [];
    await Promise.resolve();
    await Promise.resolve();
    if (rollout !== undefined) assert(rollout.outcome !== undefined, "a reload goes on");
    this.#it.check();
    const count = this.#it.launcher.workers.length;
    this.#it.clock.advance(timeoutMs);
    assertEquals(this.#it.launcher.workers.length, count, "started something while stopping");
    for (const worker of this.#it.launcher.running) {
      this.#it.checkTold(worker);
      if (this.#it.known.get(worker)!.detached) continue;
      assert(worker.told.includes("SIGKILL"), `${worker.pid} was not killed in time`);
      await Promise.resolve();
      assert(!stopped, "stopped before the last worker has ended");
      this.#exit(worker);
    }
    await whenStopped;
    this.seen.activated +=
      this.#it.launcher.workers.filter(({ assignment }) => assignment !== undefined).length;
    assertEquals(this.#it.clock.pending, 0, "timers are left");
    assertEquals(this.#it.listeners.keys, []);
    for (const worker of this.#it.launcher.running) this.#exit(worker);
    for (const worker of this.#it.launcher.workers) this.#it.checkTold(worker);
    this.#it.check();
    assertEquals(this.#it.clock.pending, 0, "timers are left");
  }
}

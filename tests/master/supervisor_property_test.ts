/**
 * Random lives of a supervisor: whatever its workers do, its users ask and time brings, what must
 * always hold does hold after every step. The generator is seeded, so a failure comes back.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../src/config/errors.ts";
import type { ServiceConfig } from "../../src/config/service.ts";
import { EARLY_DEATH_MS } from "../../src/master/policy.ts";
import { Supervisor } from "../../src/master/supervisor.ts";
import { FakeClock } from "../../src/testing/fake_clock.ts";
import { FakeLauncher, type FakeWorker } from "../../src/testing/fake_launcher.ts";
import { FakeListeners } from "../../src/testing/fake_listeners.ts";
import { FUZZ_SEED, pick, type Random, seededRandom } from "../support/random.ts";
import { serviceOf } from "./service_configs.ts";

const LIVES = 100;
const STEPS = 150;
const IDS = ["a", "b", "c", "d"];
const ADDRESSES = ["0:80", "0:81", "[::1]:82", "local:/run/s", "fifo:/run/f", "0:83", "0:84"];

/** What the test knows of a worker without asking the supervisor. */
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

/** One life, from an empty supervisor to a stopped one. */
class Life {
  readonly #random: Random;
  readonly #clock = new FakeClock();
  readonly #launcher = new FakeLauncher();
  readonly #listeners = new FakeListeners();
  readonly #supervisor = new Supervisor({
    clock: this.#clock,
    launcher: this.#launcher,
    listeners: this.#listeners,
    log: () => {},
  });
  readonly #known = new Map<FakeWorker, Known>();
  /** What was done, to be read when something is wrong. */
  readonly steps: string[] = [];
  /** Those whose soft stop was looked at, in the very step that it came in. */
  readonly #checked = new Set<FakeWorker>();
  #inForce: readonly ServiceConfig[] = [];
  /** When each service may start something again, for those that lost a worker too early. */
  readonly #startAtMs = new Map<string, number>();
  #generation = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#launcher.onLaunch = (worker) => this.#onLaunch(worker);
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      this.#step(pick(this.#random, this.#moves));
      this.#check();
    }
    await this.#stop();
  }

  readonly #moves: readonly (() => void)[] = [
    () => this.#everybodyReady(),
    () => this.#worker("ready", (worker) => this.#tellReady(worker)),
    () => this.#worker("ready", (worker) => this.#tellReady(worker)),
    () => this.#worker("exit", (worker) => this.#exit(worker)),
    () => this.#worker("exit", (worker) => this.#exit(worker)),
    () => this.#worker("detach", (worker) => this.#tellDetach(worker)),
    () => this.#worker("draining", (worker) => this.#tellDraining(worker)),
    () => this.#worker("lost", (worker) => this.#tellLost(worker)),
    () => this.#advance(this.#random(50)),
    () => this.#advance(this.#random(50)),
    () => this.#advance(this.#random(40_000)),
    () => this.#reload(),
    () => this.#refusedReload(),
    () => this.#failLaunches(),
    () => this.#comeToRest(),
  ];

  /** Makes a move, and looks at what it made the supervisor tell. */
  #step(move: () => void): void {
    const before = new Map(this.#launcher.workers.map((worker) => [worker, worker.told.length]));
    move();
    for (const worker of this.#launcher.workers) {
      const fresh = worker.told.slice(before.get(worker) ?? 0);
      if (!fresh.includes("softstop") || this.#checked.has(worker)) continue;
      this.#checked.add(worker);
      this.#checkSoftstop(worker);
    }
  }

  #onLaunch(worker: FakeWorker): void {
    const startedAtMs = this.#clock.nowMs();
    const nothing = { ready: false, detached: false, draining: false, lost: false };
    this.#known.set(worker, { startedAtMs, ...nothing });
    const { service, generation, fds } = worker.request;
    assert(startedAtMs >= (this.#startAtMs.get(service.id) ?? 0), "started too early");
    assertEquals(generation, this.#generation, "started for a configuration that is not in force");
    const wanted = service.endpoints.map(({ endpoint }) => endpoint.key);
    assertEquals(fds.map((fd) => this.#listeners.addresses.get(fd)), wanted);
  }

  /** Those that serve may only be stopped when the new ones do; time alone stops nobody. */
  #checkSoftstop(worker: FakeWorker): void {
    assert(!this.steps.at(-1)?.startsWith("advance"), "soft-stopped as time went by");
    const service = this.#inForce.find(({ id }) => id === worker.request.service.id);
    if (service === undefined || !this.#known.get(worker)!.ready) return;
    const isReady = (other: FakeWorker) => this.#known.get(other)!.ready;
    if (!isReady(worker) && this.#serving(service, "old").some(isReady)) return;
    const ready = this.#serving(service).filter(isReady);
    assert(ready.length >= service.procCount, `${worker.pid} was stopped too early`);
  }

  /** Running workers of the configuration in force, or of older ones, that fill a place. */
  #serving(service: ServiceConfig, which: "new" | "old" = "new"): FakeWorker[] {
    return this.#launcher.running.filter((worker) => {
      const { detached, draining } = this.#known.get(worker)!;
      return worker.request.service.id === service.id &&
        (worker.request.generation === this.#generation) === (which === "new") &&
        worker.told.length === 0 && !detached && !draining;
    });
  }

  /** What holds at any time. */
  #check(): void {
    const keys = this.#inForce.flatMap(({ endpoints }) => endpoints.map((e) => e.endpoint.key));
    assertEquals(this.#listeners.keys, keys.sort());
    for (const service of this.#inForce) {
      const serving = this.#serving(service).length;
      assert(serving <= service.procCount, `${serving} of ${service.procCount} ${service.id}`);
    }
    for (const worker of this.#launcher.workers) this.#checkTold(worker);
    const services = new Set(this.#launcher.running.map(({ request }) => request.service.id));
    for (const { id } of this.#inForce) services.add(id);
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
    assertEquals(places, [...new Set(places)].sort(), `told twice, or not in order`);
    if (worker.told.includes("SIGKILL")) assert(worker.told.includes("SIGTERM"));
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

  #everybodyReady(): void {
    this.steps.push("all ready");
    for (const worker of this.#launcher.running) {
      if (!this.#known.get(worker)!.lost) this.#step(() => this.#tellReady(worker));
    }
  }

  /** Notes that a worker is about to give its place up, if it has one. */
  #leaves(worker: FakeWorker): void {
    const service = this.#inForce.find(({ id }) => id === worker.request.service.id);
    if (service === undefined || !this.#serving(service).includes(worker)) return;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#known.get(worker)!.startedAtMs >= EARLY_DEATH_MS) return;
    this.#startAtMs.set(service.id, nowMs + EARLY_DEATH_MS);
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

  #advance(ms: number): void {
    this.steps.push(`advance ${ms}`);
    this.#clock.advance(ms);
  }

  #failLaunches(): void {
    const fail = this.#random(2) === 0;
    this.steps.push(fail ? "launches fail" : "launches succeed");
    this.#launcher.refusal = fail ? new Error("no more processes") : undefined;
  }

  /** Services with different addresses, each of which somebody has at most. */
  #randomServices(): ServiceConfig[] {
    const left = [...ADDRESSES];
    const take = () => left.splice(this.#random(left.length), 1)[0];
    return IDS.filter(() => this.#random(3) > 0).flatMap((id) => {
      const addresses = Array.from({ length: 1 + this.#random(2) }, take).filter((a) => a);
      if (addresses.length === 0) return [];
      return [serviceOf(id, { addresses: addresses.join(), procCount: this.#random(4) })];
    });
  }

  #reload(): void {
    const wanted = this.#randomServices();
    this.steps.push(`reload ${wanted.map(({ id, procCount }) => `${id}×${procCount}`).join(" ")}`);
    const before = new Map([...this.#listeners.addresses].map(([fd, key]) => [key, fd]));
    this.#generation++;
    this.#inForce = wanted;
    this.#startAtMs.clear();
    const { kept } = this.#supervisor.apply(wanted);
    for (const key of kept) {
      assertEquals(this.#listeners.addresses.get(before.get(key)!), key, "not the same socket");
    }
  }

  #refusedReload(): void {
    const wanted = this.#randomServices();
    const keys = wanted.flatMap(({ endpoints }) => endpoints.map(({ endpoint }) => endpoint.key))
      .filter((key) => !this.#listeners.keys.includes(key));
    if (keys.length === 0) return;
    const key = pick(this.#random, keys);
    this.steps.push(`reload without ${key}`);
    const before = [[...this.#listeners.addresses], this.#launcher.running.map(({ pid }) => pid)];
    this.#listeners.refusals.set(key, new Error("taken"));
    assertThrows(() => this.#supervisor.apply(wanted), ConfigError);
    this.#listeners.refusals.clear();
    const after = [[...this.#listeners.addresses], this.#launcher.running.map(({ pid }) => pid)];
    assertEquals(after, before, "a refused reload has changed something");
  }

  /** Once nothing hinders it and the longest wait is over, every place is filled. */
  #comeToRest(): void {
    this.#launcher.refusal = undefined;
    this.steps.push("advance to rest");
    this.#step(() => this.#clock.advance(EARLY_DEATH_MS));
    for (const service of this.#inForce) {
      assertEquals(this.#serving(service).length, service.procCount, service.id);
    }
  }

  async #stop(): Promise<void> {
    const timeoutMs = this.#random(10_000);
    this.steps.push(`stop ${timeoutMs}`);
    let stopped = false;
    this.#inForce = [];
    const whenStopped = this.#supervisor.stop(timeoutMs).then(() => stopped = true);
    if (this.#random(2) === 0) this.#supervisor.hasten();
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
    this.#check();
    assertEquals(this.#clock.pending, 0, "timers are left");
  }
}

Deno.test("Supervisor keeps its promises in random lives", async () => {
  for (let seed = FUZZ_SEED; seed < FUZZ_SEED + LIVES; seed++) {
    const life = new Life(seededRandom(seed));
    try {
      await life.run();
    } catch (cause) {
      throw new Error(`Cannot live with seed ${seed}:\n${life.steps.join("\n")}`, { cause });
    }
  }
});

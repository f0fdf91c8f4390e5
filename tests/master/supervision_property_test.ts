/**
 * Random lives of a service that is watched, recycled and scaled at the same time: there are never
 * too many processes, an ended process receives no command, and the service becomes stable.
 */
import { assert, assertEquals } from "@std/assert";
import type { ResolvedService } from "../../src/master/policy/resolved_service.ts";
import type { FakeWorker } from "../fakes/fake_launcher.ts";
import { FUZZ_SEED, pick, type Random, seededRandom } from "../support/random.ts";
import { Scene } from "./scene.ts";
import { serviceOf } from "./service_configs.ts";

const LIVES = Number(Deno.env.get("ZC_TEST_LIVES") ?? 150), STEPS = 120;
const HOUR_MS = 3_600_000, MAX_MEMORY = 2 ** 20;

class Life {
  readonly steps: string[] = [];
  readonly scene = new Scene();
  readonly #random: Random;
  readonly #service: ResolvedService;
  readonly #procCount: number;
  readonly #procMin: number;
  readonly #ready = new Set<FakeWorker>();
  /** The workers that have left their slots by themselves. */
  readonly #strays = new Set<FakeWorker>();
  #heavy = new Set<number>();
  #extra = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#procCount = random(4);
    this.#procMin = random(3);
    const maybe = (settings: Record<string, string>) => random(2) === 0 ? settings : {};
    this.#service = serviceOf("x", {
      procCount: this.#procCount,
      settings: {
        "server-proc-min": `${this.#procMin}`,
        ...maybe({ "server-idle-exit": "60" }),
        ...maybe({ "server-watchdog": "5" }),
        ...maybe({ "server-max-age": "600" }),
        ...maybe({ "server-max-memory": "1m" }),
        ...maybe({ "server-start-limit": "5/10" }),
        ...maybe({ "server-standby-count": "2" }),
      },
    });
    this.scene.random = () => random(1_000) / 1_000;
    this.scene.memoryOf = (pid) => this.#heavy.has(pid) ? 2 * MAX_MEMORY : 0;
  }

  run(): void {
    this.scene.supervisor.start([this.#service]);
    for (let count = 0; count < STEPS; count++) {
      pick(this.#random, this.#moves)();
      this.#check();
    }
    this.#comeToRest();
  }

  readonly #moves: readonly (() => void)[] = [
    () => this.#some("ready", (worker) => this.#beReady(worker)),
    () => this.#some("ready", (worker) => this.#beReady(worker)),
    () => this.#some("heartbeat", (worker) => worker.listener.onHeartbeat()),
    () => this.#some("used", (worker) => worker.listener.onUsed(true)),
    () => this.#some("idle", (worker) => worker.listener.onUsed(false)),
    () => this.#some("spent", (worker) => worker.listener.onSpent()),
    () => this.#some("heavy", ({ pid }) => this.#heavy.add(pid)),
    () => this.#some("exit", (worker) => worker.exit()),
    () =>
      this.#some("draining", (worker) => {
        this.#strays.add(worker);
        worker.listener.onDraining(30);
      }),
    () =>
      this.#some("detach", (worker) => {
        this.#strays.add(worker);
        worker.listener.onDetach();
      }),
    () => this.#scale(pick(this.#random, [+1, -1])),
    () => this.#advance(this.#random(500)),
    () => this.#advance(this.#random(20_000)),
    () => this.#arrive(),
  ];

  #some(what: string, act: (worker: FakeWorker) => void): void {
    if (this.scene.running.length === 0) return;
    const worker = pick(this.#random, this.scene.running);
    this.steps.push(`${what} ${worker.pid}`);
    act(worker);
  }

  #beReady(worker: FakeWorker): void {
    if (worker.isStandby) return worker.listener.onLoaded();
    this.#ready.add(worker);
    worker.listener.onReady();
  }

  #scale(by: number): void {
    this.steps.push(`scale ${by}`);
    const least = Math.min(this.#procCount, 1);
    this.#extra = Math.max(this.#extra + by, least - this.#procCount);
    this.scene.supervisor.scale.all(by);
  }

  #advance(ms: number): void {
    this.steps.push(`advance ${ms}`);
    this.scene.clock.advance(ms);
  }

  /** A connection waits in a queue; it wakes only an idle service. */
  #arrive(): void {
    if (this.scene.expecting.length === 0) return;
    this.steps.push("arrive");
    const before = this.scene.launcher.workers.length;
    this.scene.arrive();
    assert(this.scene.launcher.workers.length <= before + 1);
  }

  /** The serving workers, as far as they are visible from outside. */
  get #serving(): FakeWorker[] {
    return this.scene.running.filter((worker) =>
      !worker.isStandby && worker.told.length === 0 && !this.#strays.has(worker)
    );
  }

  get #standbys(): FakeWorker[] {
    return this.scene.running.filter((worker) =>
      worker.isStandby && worker.told.length === 0 && !this.#strays.has(worker)
    );
  }

  get #most(): number {
    return this.#procCount + this.#extra;
  }

  get #hasFailed(): boolean {
    return this.scene.log.some((line) => line.includes("FAILED"));
  }

  #check(): void {
    for (const { told } of this.scene.launcher.workers) {
      const order = ["softstop", "SIGTERM", "SIGABRT", "SIGKILL"];
      const restarts = told.map((word) => order.indexOf(word));
      assertEquals(restarts, [...new Set(restarts)].sort(), `${told}`);
    }
    const serving = this.#serving.length;
    // One more during a replacement.
    assert(serving <= this.#most + 1, `${serving} of ${this.#most}`);
    const standbys = this.#standbys.length;
    assert(standbys <= this.#service.supervision.standbyCount, `${standbys} standbys`);
    assert(serving === 0 || this.scene.expecting.length === 0, "watched though somebody serves");
    assert(this.scene.clock.pending <= 1);
    assert(this.scene.clock.nextInMs !== 0, "a timer that is due is still there");
  }

  /** When all workers are healthy, the service has the wanted number of processes. */
  #comeToRest(): void {
    this.steps.push("come to rest");
    this.#heavy = new Set();
    const endMs = this.scene.clock.nowMs() + 2 * HOUR_MS;
    while (this.scene.clock.nowMs() < endMs) {
      for (const worker of [...this.scene.running]) {
        if (worker.told.length > 0) worker.exit("SIGKILL");
        else {
          if (!this.#ready.has(worker)) this.#beReady(worker);
          worker.listener.onHeartbeat();
        }
      }
      this.scene.clock.advance(1_000);
    }
    this.#check();
    const serving = this.#serving.length, most = this.#most;
    const least = this.#service.supervision.idleExitMs > 0 ? Math.min(this.#procMin, most) : most;
    assert(this.#hasFailed || serving >= least, `${serving} of at least ${least}`);
    const { standbyCount } = this.#service.supervision;
    const isCalm = most > 0 && !this.#hasFailed;
    assertEquals(this.#standbys.length, isCalm ? standbyCount : 0, "standbys at rest");
  }
}

Deno.test("Supervisor becomes stable in random lives of a service that is watched, recycled and scaled", () => {
  for (let seed = FUZZ_SEED; seed < FUZZ_SEED + LIVES; seed++) {
    const life = new Life(seededRandom(seed));
    try {
      life.run();
    } catch (cause) {
      throw new Error(`Cannot live with seed ${seed}:\n${life.steps.join("\n")}`, { cause });
    }
  }
});

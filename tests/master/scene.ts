/** A supervisor with fake ports, for its tests. */
import { assert } from "@std/assert";
import type { ResolvedService } from "../../src/master/policy/resolved_service.ts";
import { EARLY_DEATH_MS } from "../../src/master/policy/timeouts.ts";
import { type Reload, Supervisor } from "../../src/master/supervisor/supervisor.ts";
import type { UndoneReload } from "../../src/master/policy/reload_report.ts";
import { FakeClock } from "../fakes/fake_clock.ts";
import { FakeLauncher, type FakeWorker } from "../fakes/fake_launcher.ts";
import { FakeListeners } from "../fakes/fake_listeners.ts";

/** Longer than the life of any process that counts as ended early. */
export const A_WHILE_MS = 10 * EARLY_DEATH_MS;

/** The time of day at which the clock of a scene is 0. */
const START_OF_SCENE_MS = Date.UTC(2020, 0, 1);

/** A supervisor with fake ports. */
export class Scene {
  readonly clock = new FakeClock();
  readonly launcher = new FakeLauncher();
  readonly listeners = new FakeListeners();
  readonly log: string[] = [];
  readonly supervisor: Supervisor;
  /** The callbacks of the next turn of the event loop. */
  readonly turns: (() => void)[] = [];
  maxGenerations = Infinity;
  /** The listeners that are watched. */
  readonly #watches = new Map<
    number,
    { readonly tell: (what: "waiting" | "shut down") => void; isExpected: boolean }
  >();
  /** The memory of each process. */
  memoryOf: (pid: number) => number = () => 0;
  /** The random number. */
  random: () => number = Math.random;

  /** @param hasTurns Whether the number of starts in one turn of the event loop is limited. */
  constructor(hasTurns = false) {
    this.supervisor = new Supervisor({
      clock: this.clock,
      timeOfDayMs: () => START_OF_SCENE_MS + this.clock.nowMs(),
      launcher: this.launcher,
      listeners: this.listeners,
      log: (text) => this.log.push(text),
      debug: () => {},
      tell: () => {},
      maxGenerations: () => this.maxGenerations,
      random: () => this.random(),
      watchListener: (fd, tell) => {
        const watch = { tell, isExpected: false };
        assert(!this.#watches.has(fd), `${fd} is watched already`);
        this.#watches.set(fd, watch);
        return {
          expect: (wanted) => watch.isExpected = wanted,
          stop: () => this.#watches.get(fd) === watch && this.#watches.delete(fd),
        };
      },
      memoryOf: (pid) => this.memoryOf(pid),
      ...(hasTurns && { afterTurn: (callback: () => void) => void this.turns.push(callback) }),
    });
  }

  /** Begins the next turn of the event loop. */
  turn(): void {
    for (const callback of this.turns.splice(0)) callback();
  }

  /** Starts services and makes all of their workers ready, a while ago. */
  static running(...services: ResolvedService[]): Scene {
    const scene = new Scene();
    scene.supervisor.start(services);
    for (const worker of scene.launcher.running) worker.listener.onReady();
    scene.clock.advance(A_WHILE_MS);
    return scene;
  }

  /** The listeners that are watched. */
  get watched(): number[] {
    return [...this.#watches.keys()];
  }

  /** The listeners on which a service waits for a connection. */
  get expecting(): number[] {
    return [...this.#watches].flatMap(([fd, { isExpected }]) => isExpected ? [fd] : []);
  }

  /**
   * Puts a connection into a queue.
   *
   * @param fd The listener; by default the first one on which a service waits.
   */
  arrive(fd = this.expecting[0]): void {
    const watch = this.#watches.get(fd)!;
    assert(watch.isExpected, `nothing is waited for in ${fd}`);
    watch.isExpected = false;
    watch.tell("waiting");
  }

  /**
   * Has a process damage a listener, which is noticed at once.
   *
   * @param fd The listener.
   * @param how How it can be repaired.
   */
  damage(fd: number, how: "shut down" | "lost"): void {
    this.listeners.damaged.set(fd, how);
    const watch = this.#watches.get(fd)!;
    this.#watches.delete(fd);
    watch.tell("shut down");
  }

  get running(): readonly FakeWorker[] {
    return this.launcher.running;
  }

  /** The workers that were started since the last call. */
  fresh(): readonly FakeWorker[] {
    return this.launcher.workers.slice(this.#seen, this.#seen = this.launcher.workers.length);
  }
  #seen = 0;

  /**
   * Begins a reload, whose new workers {@linkcode Scene.fresh} returns.
   *
   * @param services The new configuration.
   */
  reload(...services: ResolvedService[]): Reload {
    this.fresh();
    return this.supervisor.reload(services);
  }
}

/** Makes workers ready. */
export function areReady(...workers: readonly FakeWorker[]): void {
  for (const worker of workers) worker.listener.onReady();
}

/** The commands that each worker has received. */
export function toldTo(workers: readonly FakeWorker[]): string[] {
  return workers.map(({ told }) => told.join());
}

/** The outcome of a reload, which must be over. */
export async function outcomeOf(reload: Reload): Promise<readonly UndoneReload[]> {
  assert(await isSettled(reload.outcome), "the reload is still under way");
  return await reload.outcome;
}

/** Whether a promise is settled. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  await Promise.resolve();
  return await Promise.race([promise, Promise.resolve(pending)]) !== pending;
}

/** A supervisor between fakes, for its tests. */
import { assert } from "@std/assert";
import type { ServiceConfig } from "../../src/config/service.ts";
import { EARLY_DEATH_MS } from "../../src/master/policy/decide.ts";
import { type Reload, Supervisor } from "../../src/master/supervisor/supervisor.ts";
import type { UndoneReload } from "../../src/master/supervisor/rollout.ts";
import { FakeClock } from "../fakes/fake_clock.ts";
import { FakeLauncher, type FakeWorker } from "../fakes/fake_launcher.ts";
import { FakeListeners } from "../fakes/fake_listeners.ts";

/** Longer than any process lives that counts as having died early. */
export const A_WHILE_MS = 10 * EARLY_DEATH_MS;

/** A supervisor between fakes. */
export class Scene {
  readonly clock = new FakeClock();
  readonly launcher = new FakeLauncher();
  readonly listeners = new FakeListeners();
  readonly log: string[] = [];
  readonly supervisor: Supervisor;
  /** What waits for the next turn of the event loop. */
  readonly turns: (() => void)[] = [];
  maxGenerations = Infinity;
  /** The listeners that are watched. */
  readonly #watches = new Map<
    number,
    { readonly tell: (what: "waiting" | "deaf") => void; isExpected: boolean }
  >();
  /** What each process uses. */
  memoryOf: (pid: number) => number = () => 0;
  /** Chance. */
  random: () => number = Math.random;

  /** @param hasTurns Whether the starts of one turn of the event loop are bounded. */
  constructor(hasTurns = false) {
    this.supervisor = new Supervisor({
      clock: this.clock,
      launcher: this.launcher,
      listeners: this.listeners,
      log: (text) => this.log.push(text),
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

  /** Puts services into force and makes all workers of them ready, a while ago. */
  static running(...services: ServiceConfig[]): Scene {
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

  /** The listeners in whose queues a connection is waited for. */
  get expecting(): number[] {
    return [...this.#watches].flatMap(([fd, { isExpected }]) => isExpected ? [fd] : []);
  }

  /**
   * Has a connection wait in a queue.
   *
   * @param fd Which one; default the first in which one is waited for.
   */
  arrive(fd = this.expecting[0]): void {
    const watch = this.#watches.get(fd)!;
    assert(watch.isExpected, `nothing is waited for in ${fd}`);
    watch.isExpected = false;
    watch.tell("waiting");
  }

  /**
   * Has a process damage a listener, which shows at once.
   *
   * @param fd Which one.
   * @param how What can be done about it.
   */
  deafen(fd: number, how: "shut down" | "lost"): void {
    this.listeners.damaged.set(fd, how);
    const watch = this.#watches.get(fd)!;
    this.#watches.delete(fd);
    watch.tell("deaf");
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
   * Begins a reload, whose fresh workers are ready for {@linkcode Scene.fresh}.
   *
   * @param services What is wanted.
   */
  reload(...services: ServiceConfig[]): Reload {
    this.fresh();
    return this.supervisor.reload(services);
  }
}

/** Lets workers be ready. */
export function areReady(...workers: readonly FakeWorker[]): void {
  for (const worker of workers) worker.listener.onReady();
}

/** What each was told. */
export function toldTo(workers: readonly FakeWorker[]): string[] {
  return workers.map(({ told }) => told.join());
}

/** What came of a reload, which must be over. */
export async function outcomeOf(reload: Reload): Promise<readonly UndoneReload[]> {
  assert(await isSettled(reload.outcome), "the reload is still under way");
  return await reload.outcome;
}

/** Whether a promise is settled by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  await Promise.resolve();
  return await Promise.race([promise, Promise.resolve(pending)]) !== pending;
}

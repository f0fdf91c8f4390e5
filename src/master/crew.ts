/**
 * The crew: the processes of all services, from their start to their end. It does to them what it is
 * told, and enters into the tables what they do of themselves.
 *
 * It decides nothing: after each event the one who runs it looks at the service anew.
 *
 * @module
 */
import { describeExit, type ExitStatus } from "../os/child_process.ts";
import type { Clock } from "../os/clock.ts";
import {
  type Chance,
  EX_CONFIG,
  isBeyondLimit,
  NEW_PLACE,
  placeAfter,
  placeAfterRefusal,
  placeAtStart,
} from "./backoff.ts";
import {
  DRAIN_GRACE_MS,
  EARLY_DEATH_MS,
  LOST_GRACE_MS,
  nextStartMs,
  SOFTSTOP_ANSWER_MS,
  TERMINATE_GRACE_MS,
  UNREADY_ANSWER_MS,
} from "./policy.ts";
import {
  advance,
  isProven,
  isServing,
  limit,
  type Place,
  type Service,
  type Version,
  type Worker,
} from "./tables.ts";
import type { WorkerEvent } from "./states.ts";
import type { Launcher, RunningWorker, WorkerListener } from "./worker_process.ts";

/** What a crew needs. */
export interface CrewOptions {
  readonly clock: Clock;
  readonly launcher: Launcher;
  /** Takes lines for the log. */
  log(text: string): void;
  /** Takes lines for the log that are only wanted in detail. */
  debug(text: string): void;
  /** A worker of the service has done something; never called from within a call of the crew. */
  onChange(service: Service): void;
  /** Chance: a number from 0 up to 1. */
  random(): number;
}

/** The processes of all services. */
export class Crew {
  readonly #options: CrewOptions;
  readonly #clock: Clock;
  readonly #running = new Map<Worker, RunningWorker>();
  #nextWorkerId = 1;
  /** When every process is sent SIGTERM and SIGKILL, however it stands. */
  #terminateAtMs = Infinity;
  #killAtMs = Infinity;

  /** @param options What it needs. */
  constructor(options: CrewOptions) {
    this.#options = options;
    this.#clock = options.clock;
  }

  /** Whether every process has ended, but for those that have detached. */
  get isGone(): boolean {
    return this.#running.keys().every(({ state }) => state === "detached");
  }

  /**
   * Starts one process.
   *
   * @param service The service.
   * @param version Its version.
   * @param fds The listeners of that version. Borrowed.
   * @returns Whether it could be started. If not, the service waits, or its trial has failed.
   */
  start(service: Service, version: Version, fds: readonly number[]): boolean {
    const { config, generation } = version;
    const startedAtMs = this.#clock.nowMs();
    const vacant = version === service.trial ? NEW_PLACE : this.#takePlace(service);
    const place = placeAtStart(vacant, { config, nowMs: startedAtMs });
    let running: RunningWorker;
    try {
      running = this.#options.launcher.launch(
        { service: config, generation, fds },
        this.#listenerFor(service, () => worker),
      );
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (version === service.trial) service.trial.failure = message;
      else {
        const refused = placeAfterRefusal(place, { config, ...this.#chance() });
        // The others would fare no better.
        service.startAtMs = this.#clock.nowMs() + EARLY_DEATH_MS;
        this.#vacate(service, refused, (ms) => `${message}; it is tried again in ${ms} ms`);
      }
      return false;
    }
    const { pid } = running;
    const id = this.#nextWorkerId++;
    const worker: Worker = { id, pid, generation, config, startedAtMs, place, state: "starting" };
    service.workers.add(worker);
    this.#running.set(worker, running);
    this.#options.debug(`${service.id}: new process ${pid} of generation ${generation}`);
    return true;
  }

  /**
   * Tells a worker to accept no more, finish, and end.
   *
   * @param worker The worker.
   * @param options `replaced`: whether somebody serves its addresses after it.
   */
  softstop(worker: Worker, { replaced }: { readonly replaced: boolean }): void {
    const running = this.#advance(worker, "softstop");
    if (running === undefined) return;
    const answerMs = worker.readyAtMs === undefined ? UNREADY_ANSWER_MS : SOFTSTOP_ANSWER_MS;
    worker.deadlineMs = Math.min(this.#clock.nowMs() + answerMs, this.#terminateAtMs);
    running.softstop();
    if (!replaced) running.notReplaced();
  }

  /**
   * Ends a worker: SIGTERM, and SIGKILL if that does not help. One that still serves has been lost,
   * and leaves its place like one that ends.
   *
   * @param service Its service.
   * @param worker The worker.
   */
  terminate(service: Service, worker: Worker): void {
    if (!this.#leave(service, worker, { event: "terminate", how: "is out of reach" })) return;
    this.#options.debug(`${service.id}: terminate of process ${worker.pid}`);
    worker.deadlineMs = Math.min(this.#clock.nowMs() + TERMINATE_GRACE_MS, this.#killAtMs);
    this.#running.get(worker)?.kill("SIGTERM");
  }

  /**
   * Kills a worker that did not end in time.
   *
   * @param worker The worker.
   */
  kill(worker: Worker): void {
    const running = this.#advance(worker, "kill");
    if (running === undefined) return;
    worker.deadlineMs = undefined;
    this.#options.log(
      `${worker.config.id}: process ${worker.pid} is killed: it did not end in time`,
    );
    running.kill("SIGKILL");
  }

  /**
   * Bounds the life of all: to be followed by a look at each service.
   *
   * @param limits When each process is sent SIGTERM and SIGKILL, unless that is to come sooner.
   */
  limitAll(limits: { readonly terminateAtMs?: number; readonly killAtMs?: number }): void {
    this.#terminateAtMs = Math.min(this.#terminateAtMs, limits.terminateAtMs ?? Infinity);
    this.#killAtMs = Math.min(this.#killAtMs, limits.killAtMs ?? Infinity);
    for (const worker of this.#running.keys()) {
      limit(worker, worker.state === "stopping" ? this.#killAtMs : this.#terminateAtMs);
    }
  }

  /** Takes note that nobody takes the place of those that drain. */
  hurryDraining(): void {
    for (const [{ state }, running] of this.#running) {
      if (state === "draining") running.notReplaced();
    }
  }

  #advance(
    worker: Worker,
    event: "softstop" | "kill",
  ): RunningWorker | undefined {
    if (!advance(worker, event)) return undefined;
    this.#options.debug(`${worker.config.id}: ${event} of process ${worker.pid}`);
    return this.#running.get(worker);
  }

  #listenerFor(service: Service, worker: () => Worker): WorkerListener {
    const { id } = service;
    const { log, debug, onChange } = this.#options;
    return {
      onReady: () => {
        if (!advance(worker(), "ready")) return;
        worker().readyAtMs = this.#clock.nowMs();
        debug(`${id}: ready is process ${worker().pid}`);
        onChange(service);
      },
      onDraining: (seconds) => {
        // It may also have been its own idea: then it gives up its place now.
        this.#leave(service, worker(), { event: "softstop", how: "drains" });
        if (worker().state === "draining") {
          const atMs = this.#clock.nowMs() + seconds * 1000 + DRAIN_GRACE_MS;
          worker().deadlineMs = Math.min(atMs, this.#terminateAtMs);
        }
        onChange(service);
      },
      onDetach: () => {
        if (!this.#leave(service, worker(), { event: "detach", how: "has detached" })) return;
        worker().deadlineMs = undefined;
        log(`${id}: process ${worker().pid} has detached`);
        onChange(service);
      },
      onLost: (error) => {
        if (error !== undefined) log(`${id}: process ${worker().pid}: ${error.message}`);
        limit(worker(), this.#clock.nowMs() + LOST_GRACE_MS);
        onChange(service);
      },
      onExit: (status) => this.#onExit(service, worker(), status),
    };
  }

  #onExit(service: Service, worker: Worker, status: ExitStatus): void {
    const { log, debug, onChange } = this.#options;
    const { pid, state, startedAtMs } = worker;
    const age = Math.round(this.#clock.nowMs() - startedAtMs);
    const how = `ended after ${age} ms: ${describeExit(status)}`;
    if (isServing(worker)) log(`${service.id}: process ${pid} ${how}`);
    else debug(`${service.id}: reaped process ${pid}, which was ${state}`);
    if (isOurs(service, worker) && status.signal === null && status.code === EX_CONFIG) {
      this.#fail(
        service,
        `process ${pid} says that its settings are wrong (exit code ${EX_CONFIG})`,
      );
    }
    this.#leave(service, worker, { event: "exit", how });
    service.workers.delete(worker);
    this.#running.delete(worker);
    onChange(service);
  }

  /**
   * Advances a worker by something that it did of itself. If it gives its place up so soon, its
   * successor waits: else one that detaches or drains at its start would fill the machine. If it was
   * to prove its version, it has not.
   */
  #leave(
    service: Service,
    worker: Worker,
    { event, how }: { readonly event: Exclude<WorkerEvent, "ready">; readonly how: string },
  ): boolean {
    const nowMs = this.#clock.nowMs();
    const { trial } = service;
    if (isServing(worker)) {
      const startAtMs = nextStartMs(worker, nowMs);
      if (isOurs(service, worker)) {
        service.startAtMs = Math.max(service.startAtMs, startAtMs);
        const place = placeAfter(worker, this.#chance());
        this.#vacate(service, place, (ms) => `processes end early; the next start is in ${ms} ms`);
      } else if (worker.generation === trial?.generation) {
        trial.startAtMs = Math.max(trial.startAtMs, startAtMs);
        if (isProven(worker, nowMs)) trial.left++;
        else trial.failure ??= `process ${worker.pid} ${how}`;
      }
    }
    return advance(worker, event);
  }

  /** The place that has waited the longest of those in which something may be started now. */
  #takePlace({ vacancies }: Service): Place {
    const nowMs = this.#clock.nowMs();
    const free = vacancies.filter(({ startAtMs }) => startAtMs <= nowMs);
    const place = free.sort((a, b) => a.startAtMs - b.startAtMs)[0];
    if (place === undefined) return NEW_PLACE;
    vacancies.splice(vacancies.indexOf(place), 1);
    return place;
  }

  /**
   * Takes note of a place in which nothing runs, and tells of its delay, if that is longer than what
   * was told last: a storm of ends must not be one of lines, too.
   */
  #vacate(service: Service, place: Place, line: (ms: number) => string): void {
    service.vacancies.push(place);
    if (place.early === 0) service.toldDelayMs = 0;
    const config = service.current?.config;
    if (config !== undefined && isBeyondLimit(place, config)) {
      const { count, withinMs } = config.startLimit!;
      this.#fail(service, `${count} starts in the same place within ${withinMs / 1000} s`);
      return;
    }
    const ms = Math.round(place.startAtMs - this.#clock.nowMs());
    if (ms <= 0 || place.delayMs <= service.toldDelayMs) return;
    service.toldDelayMs = place.delayMs;
    this.#options.log(`${service.id}: ${line(ms)}`);
  }

  /** Gives a service up until the next reload; those of its processes that run go on. */
  #fail(service: Service, reason: string): void {
    if (service.failure !== undefined) return;
    service.failure = reason;
    this.#options.log(
      `${service.id}: FAILED: ${reason}; nothing of it is started until the next reload`,
    );
  }

  #chance(): Chance {
    return { nowMs: this.#clock.nowMs(), random: this.#options.random() };
  }
}

/** Whether a worker fills a place of the version in force. */
function isOurs({ current }: Service, worker: Worker): boolean {
  return isServing(worker) && worker.generation === current?.generation;
}

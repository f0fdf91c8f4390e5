/**
 * The restart histories of services: when a replacement may start, and what the log says about it.
 *
 * @module
 */
import { formatDuration } from "../../config/duration.ts";
import {
  type Chance,
  historyAfter,
  historyAfterRefusal,
  historyGivenBack,
  isBeyondLimit,
  NO_HISTORY,
  runOf,
} from "../policy/backoff.ts";
import { EARLY_DEATH_MS } from "../policy/timeouts.ts";
import { fullStrength, hasStrength } from "../policy/scaling.ts";
import {
  isServing,
  loadedAtMs,
  type RestartHistory,
  type Worker,
  type WorkerIn,
} from "../policy/life.ts";
import type { Service } from "../policy/model.ts";
import type { Ports } from "./ports.ts";

/** Records in the model when the replacements of ended processes may start. */
export class Restarts {
  readonly #ports: Pick<Ports, "clock" | "log" | "random" | "tell">;

  /** @param ports The access to the system. */
  constructor(ports: Pick<Ports, "clock" | "log" | "random" | "tell">) {
    this.#ports = ports;
  }

  /**
   * Takes the restart history for the next start: the longest waiting one that is due, or a new
   * one.
   */
  take({ vacancies }: Service): RestartHistory {
    const nowMs = this.#ports.clock.nowMs();
    const free = vacancies.filter(({ startAtMs }) => startAtMs <= nowMs);
    const history = free.sort((a, b) => a.startAtMs - b.startAtMs)[0];
    if (history === undefined) return NO_HISTORY;
    vacancies.splice(vacancies.indexOf(history), 1);
    return history;
  }

  /**
   * Records that a worker of the current version has left.
   *
   * @param service The service.
   * @param worker The worker.
   * @param how `inOrder`: whether it exited with success, or drains. `isToldElsewhere`: whether another log line
   * tells the delay.
   */
  leave(
    service: Service,
    worker: WorkerIn<"starting" | "ready">,
    { inOrder = false, isToldElsewhere }: {
      readonly inOrder?: boolean;
      readonly isToldElsewhere: boolean;
    },
  ): void {
    const history = historyAfter(runOf(worker), { ...this.#chance(), inOrder });
    const line = (ms: number) => `processes end early; the next start is in ${formatDuration(ms)}`;
    this.#vacate(service, history, isToldElsewhere ? undefined : line);
  }

  /**
   * Records that a process of the current version could not be started.
   *
   * @param service The service.
   * @param history The restart history that it would have taken over.
   * @param reason Why.
   */
  refuse(service: Service, history: RestartHistory, reason: string): void {
    const { config } = service.current!;
    const refused = historyAfterRefusal(history, { config, ...this.#chance() });
    this.#vacate(service, refused, (ms) => `${reason}; it is tried again in ${formatDuration(ms)}`);
  }

  /**
   * Records that a standby of the current version has left before its activation, or before it was
   * ready.
   */
  leaveStandby(service: Service, standby: Worker): void {
    if (isServing(standby)) this.#free(service, historyGivenBack(standby));
    const { standbyHistory: history = NO_HISTORY } = service;
    const { config, startedAtMs } = standby;
    // The standby was started before the last failure, so its end says nothing new.
    if (startedAtMs < history.startAtMs) return;
    const chance = this.#chance(), readyAtMs = loadedAtMs(standby.life);
    const next = historyAfter({ config, startedAtMs, history, readyAtMs, worked: false }, chance);
    const waitedMs = chance.nowMs - (readyAtMs ?? chance.nowMs);
    const leastMs = waitedMs < EARLY_DEATH_MS ? EARLY_DEATH_MS : 0;
    this.#vacateStandby(
      service,
      { next, leastMs },
      (ms) => `standbys end early; the next one is in ${formatDuration(ms)}`,
    );
  }

  /** Records that a standby of the current version could not be started. */
  refuseStandby(service: Service, reason: string): void {
    const { standbyHistory = NO_HISTORY } = service, { config } = service.current!;
    const next = historyAfterRefusal(standbyHistory, { config, ...this.#chance() });
    const leastMs = EARLY_DEATH_MS;
    this.#vacateStandby(
      service,
      { next, leastMs },
      (ms) => `no standby: ${reason}; it is tried again in ${formatDuration(ms)}`,
    );
  }

  #vacateStandby(
    service: Service,
    { next, leastMs }: { readonly next: RestartHistory; readonly leastMs: number },
    line: (ms: number) => string,
  ): void {
    const { delayMs: toldMs } = service.standbyHistory ?? NO_HISTORY;
    const nowMs = this.#ports.clock.nowMs();
    // This minimum holds even for a shorter `server-backoff-max`, since nothing else delays
    // standbys.
    const startAtMs = Math.max(next.startAtMs, nowMs + leastMs);
    service.standbyHistory = { ...next, startAtMs };
    const ms = Math.round(startAtMs - nowMs);
    if (ms > 0 && next.delayMs > toldMs) this.#ports.log(`${service.id}: ${line(ms)}`, "warn");
  }

  /**
   * Describes when the next process is started in place of one that has left, for a log line.
   *
   * @param service The service.
   * @param options `ofStandby`: whether the process was a standby.
   */
  nextStart(
    { failure, startAtMs, vacancies, standbyHistory = NO_HISTORY }: Service,
    { ofStandby = false }: { readonly ofStandby?: boolean },
  ): string {
    if (failure !== undefined) return "none is started until the next reload";
    const firstMs = ofStandby
      ? standbyHistory.startAtMs
      : Math.max(startAtMs, Math.min(...vacancies.map((history) => history.startAtMs)));
    const ms = Math.round(firstMs - this.#ports.clock.nowMs());
    return `the next one is started ${ms > 0 ? `in ${formatDuration(ms)}` : "at once"}`;
  }

  /**
   * Stops starting processes of a service until the next reload; its running processes continue.
   */
  fail(service: Service, reason: string): void {
    if (service.failure !== undefined) return;
    service.failure = reason;
    this.#ports.log(
      `${service.id}: FAILED: ${reason}; nothing of it is started until the next reload`,
      "error",
    );
    this.#ports.tell({ type: "failed", service: service.id, reason });
  }

  /**
   * Forgets the last failure of a service that has all of its processes again, and tells that once after unexpected
   * ends.
   */
  recover(service: Service): void {
    if (!hasStrength(service)) return;
    const { id, unreadySinceMs } = service;
    service.trouble = undefined;
    if (unreadySinceMs === undefined) return;
    service.unreadySinceMs = undefined;
    const afterMs = Math.round(this.#ports.clock.nowMs() - unreadySinceMs);
    this.#ports.log(`${id}: ready again after ${formatDuration(afterMs)}`);
    this.#ports.tell({ type: "recovered", service: id, afterMs });
  }

  /**
   * Adds a restart history, and logs its delay if it is longer than the last one that was logged:
   * many failures must not cause as many log lines.
   */
  #vacate(
    service: Service,
    history: RestartHistory,
    line: ((ms: number) => string) | undefined,
  ): void {
    this.#free(service, history);
    if (service.failure !== undefined) return;
    if (history.early === 0) service.toldDelayMs = 0;
    const { config } = service.current!;
    if (isBeyondLimit(history, config)) {
      const { count, withinMs } = config.supervision.startLimit!;
      return this.fail(
        service,
        `${count} starts of one slot within ${withinMs / 1000} s (server-start-limit)`,
      );
    }
    const ms = Math.round(history.startAtMs - this.#ports.clock.nowMs());
    if (line === undefined || ms <= 0 || history.delayMs <= service.toldDelayMs) return;
    service.toldDelayMs = history.delayMs;
    this.#ports.log(`${service.id}: ${line(ms)}`, "warn");
  }

  #free(service: Service, history: RestartHistory): void {
    service.vacancies.push(history);
    // After scaling down, some restart histories are surplus: those with the longest delays stay.
    service.vacancies.sort((a, b) => b.startAtMs - a.startAtMs);
    service.vacancies.length = Math.min(
      service.vacancies.length,
      Math.max(1, fullStrength(service)),
    );
  }

  #chance(): Chance {
    return { nowMs: this.#ports.clock.nowMs(), random: this.#ports.random() };
  }
}

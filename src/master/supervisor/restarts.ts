/**
 * The places of services in which nothing runs: what they wait for, and what the log tells of it.
 *
 * @module
 */
import type { Clock } from "../../os/clock/clock.ts";
import {
  type Chance,
  isBeyondLimit,
  NEW_PLACE,
  placeAfter,
  placeAfterRefusal,
  placeGivenBack,
} from "../policy/backoff.ts";
import { EARLY_DEATH_MS } from "../policy/decide.ts";
import { fullStrength } from "../policy/scaling.ts";
import { isServing, type Place, type Service, type Worker } from "../policy/model.ts";

/** What is needed for that. */
export interface PlacesOptions {
  readonly clock: Clock;
  /** Takes lines for the log. */
  log(text: string): void;
  /** Chance: a number from 0 up to 1. */
  random(): number;
}

/** Enters into the tables of services which places are free, and from when on. */
export class Places {
  readonly #options: PlacesOptions;

  /** @param options What it needs. */
  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /**
   * Takes a place for the next start: the one that has waited the longest of those that need not
   * wait any more, or a new one.
   *
   * @param service The service.
   */
  take({ vacancies }: Service): Place {
    const nowMs = this.#options.clock.nowMs();
    const free = vacancies.filter(({ startAtMs }) => startAtMs <= nowMs);
    const place = free.sort((a, b) => a.startAtMs - b.startAtMs)[0];
    if (place === undefined) return NEW_PLACE;
    vacancies.splice(vacancies.indexOf(place), 1);
    return place;
  }

  /**
   * Takes note that a worker of the version in force gives its place up.
   *
   * @param service The service.
   * @param worker The worker.
   * @param inOrder Whether it ends as a program does that has done its work.
   */
  leave(service: Service, worker: Worker, inOrder = false): void {
    const place = placeAfter(worker, { ...this.#chance(), inOrder });
    this.#vacate(service, place, (ms) => `processes end early; the next start is in ${ms} ms`);
  }

  /**
   * Takes note that no process of the version in force could be started.
   *
   * @param service The service.
   * @param place The place that it was to have.
   * @param reason Why.
   */
  refuse(service: Service, place: Place, reason: string): void {
    const { config } = service.current!;
    const refused = placeAfterRefusal(place, { config, ...this.#chance() });
    this.#vacate(service, refused, (ms) => `${reason}; it is tried again in ${ms} ms`);
  }

  /**
   * Takes note that a standby of the version in force has gone before anybody needed it, or before it
   * was ready.
   *
   * @param service The service.
   * @param spare The standby.
   */
  leaveSpare(service: Service, spare: Worker): void {
    if (isServing(spare)) this.#free(service, placeGivenBack(spare));
    const { sparePlace: place = NEW_PLACE } = service;
    // It says nothing new: it is older than what is known.
    if (spare.startedAtMs < place.startAtMs) return;
    const chance = this.#chance();
    const next = placeAfter({ ...spare, place, readyAtMs: spare.loadedAtMs }, chance);
    const waitedMs = chance.nowMs - (spare.loadedAtMs ?? chance.nowMs);
    const leastMs = waitedMs < EARLY_DEATH_MS ? EARLY_DEATH_MS : 0;
    this.#vacateSpare(
      service,
      { next, leastMs },
      (ms) => `standbys end early; the next one is in ${ms} ms`,
    );
  }

  /**
   * Takes note that no standby of the version in force could be started.
   *
   * @param service The service.
   * @param reason Why.
   */
  refuseSpare(service: Service, reason: string): void {
    const { sparePlace = NEW_PLACE } = service, { config } = service.current!;
    const next = placeAfterRefusal(sparePlace, { config, ...this.#chance() });
    const leastMs = EARLY_DEATH_MS;
    this.#vacateSpare(
      service,
      { next, leastMs },
      (ms) => `no standby: ${reason}; it is tried again in ${ms} ms`,
    );
  }

  #vacateSpare(
    service: Service,
    { next, leastMs }: { readonly next: Place; readonly leastMs: number },
    line: (ms: number) => string,
  ): void {
    const { delayMs: toldMs } = service.sparePlace ?? NEW_PLACE;
    const nowMs = this.#options.clock.nowMs();
    // However short the longest delay is to be: nothing else holds standbys back.
    const startAtMs = Math.max(next.startAtMs, nowMs + leastMs);
    service.sparePlace = { ...next, startAtMs };
    const ms = Math.round(startAtMs - nowMs);
    if (ms > 0 && next.delayMs > toldMs) this.#options.log(`${service.id}: ${line(ms)}`);
  }

  /**
   * When the next process is started in place of one that has left, for a log line.
   *
   * @param service The service.
   * @param options `ofSpare`: whether that one was a standby.
   */
  nextStart(
    { failure, startAtMs, vacancies, sparePlace = NEW_PLACE }: Service,
    { ofSpare = false }: { readonly ofSpare?: boolean },
  ): string {
    if (failure !== undefined) return "none is started until the next reload";
    const firstMs = ofSpare
      ? sparePlace.startAtMs
      : Math.max(startAtMs, Math.min(...vacancies.map((place) => place.startAtMs)));
    const ms = Math.round(firstMs - this.#options.clock.nowMs());
    return `the next one is started ${ms > 0 ? `in ${ms} ms` : "at once"}`;
  }

  /**
   * Gives a service up until the next reload; those of its processes that run go on.
   *
   * @param service The service.
   * @param reason Why.
   */
  fail(service: Service, reason: string): void {
    if (service.failure !== undefined) return;
    service.failure = reason;
    this.#options.log(
      `${service.id}: FAILED: ${reason}; nothing of it is started until the next reload`,
    );
  }

  /**
   * Tells of a place's delay if it is longer than what was told last: a storm of ends must not be one
   * of lines, too.
   */
  #vacate(service: Service, place: Place, line: (ms: number) => string): void {
    this.#free(service, place);
    if (service.failure !== undefined) return;
    if (place.early === 0) service.toldDelayMs = 0;
    const { config } = service.current!;
    if (isBeyondLimit(place, config)) {
      const { count, withinMs } = config.supervision.startLimit!;
      return this.fail(service, `${count} starts in the same place within ${withinMs / 1000} s`);
    }
    const ms = Math.round(place.startAtMs - this.#options.clock.nowMs());
    if (ms <= 0 || place.delayMs <= service.toldDelayMs) return;
    service.toldDelayMs = place.delayMs;
    this.#options.log(`${service.id}: ${line(ms)}`);
  }

  #free(service: Service, place: Place): void {
    service.vacancies.push(place);
    // With less strength than before some places are no more: the most patient ones stay.
    service.vacancies.sort((a, b) => b.startAtMs - a.startAtMs);
    service.vacancies.length = Math.min(
      service.vacancies.length,
      Math.max(1, fullStrength(service)),
    );
  }

  #chance(): Chance {
    return { nowMs: this.#options.clock.nowMs(), random: this.#options.random() };
  }
}

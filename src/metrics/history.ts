/**
 * Ten minutes of what the charts of the page show: connections, accepts, processor time and memory of each service.
 *
 * @module
 */
import type { ServiceStatus, Status } from "../control/status.ts";
import { sumOf } from "./exposition.ts";

/** The time between two points. */
export const STEP_MS = 5_000;

/** How many points are kept. */
export const MOST_POINTS = 120;

/** What is known of a service at a moment: rates are those since the point before. Null is unknown. */
export interface ServicePoint {
  /** Open connections. */
  readonly connections: number | null;
  /** Accepted connections per second. */
  readonly accepts: number | null;
  /** Processors in use: 1 is one processor all the time. */
  readonly cpu: number | null;
  /** Resident memory of all processes, in bytes. */
  readonly memoryBytes: number | null;
}

/** All services at a moment. */
export interface Point {
  /** In milliseconds since 1970. */
  readonly atMs: number;
  readonly services: Readonly<Record<string, ServicePoint>>;
}

/** When a status was taken. */
export interface Moment {
  /** On a clock that is never set, in milliseconds. */
  readonly nowMs: number;
  /** In milliseconds since 1970. */
  readonly atMs: number;
}

/** What rates are computed from. */
interface Counts {
  readonly accepted: number | null;
  readonly cpuMs: ReadonlyMap<number, number>;
}

/** The points of the last ten minutes. */
export class History {
  #points: readonly Point[] = [];
  #last: { readonly nowMs: number; readonly services: ReadonlyMap<string, Counts> } | undefined;

  /** The points, the oldest first. */
  get points(): readonly Point[] {
    return this.#points;
  }

  /**
   * Takes a status into account.
   *
   * @param status The status.
   * @param moment When it was taken.
   * @returns The point that it makes; undefined if the last one is less than a step ago.
   */
  add(status: Status, { nowMs, atMs }: Moment): Point | undefined {
    const passedMs = this.#last === undefined ? Infinity : nowMs - this.#last.nowMs;
    // A timer that is a little early still makes its point.
    if (passedMs < STEP_MS * 0.9) return undefined;
    const before = this.#last?.services;
    this.#last = {
      nowMs,
      services: new Map(status.services.map((service) => [service.id, countsOf(service)])),
    };
    const point: Point = {
      atMs,
      services: Object.fromEntries(
        status.services.map((one) => [one.id, pointOf(one, before?.get(one.id), passedMs)]),
      ),
    };
    // The charts end now, also after the time of day was set back.
    const past = this.#points.filter((one) => one.atMs < atMs);
    this.#points = [...past, point].slice(-MOST_POINTS);
    return point;
  }
}

function countsOf(service: ServiceStatus): Counts {
  const known = service.processes.filter((one) => one.cpuMs !== null);
  return {
    accepted: service.counters.accepted,
    cpuMs: new Map(known.map(({ pid, cpuMs }) => [pid, cpuMs as number])),
  };
}

function pointOf(
  service: ServiceStatus,
  before: Counts | undefined,
  passedMs: number,
): ServicePoint {
  const { accepted, cpuMs } = countsOf(service);
  return {
    connections: sumOf(service.processes, "connections"),
    accepts: before === undefined || before.accepted === null || accepted === null
      ? null
      : Math.max(0, accepted - before.accepted) / passedMs * 1000,
    cpu: before === undefined ? null : usedMs(cpuMs, before.cpuMs) / passedMs,
    memoryBytes: sumOf(service.processes, "memoryBytes"),
  };
}

/** The processor time since then. A process that was not there has used all of its own since. */
function usedMs(now: Counts["cpuMs"], before: Counts["cpuMs"]): number {
  let sum = 0;
  for (const [pid, cpuMs] of now) sum += Math.max(0, cpuMs - (before.get(pid) ?? 0));
  return sum;
}

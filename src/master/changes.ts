/**
 * The changes of a master, such as reloads and upgrades: one at a time, in the order of their
 * requests.
 *
 * @module
 */
import { type Clock, systemClock } from "../os/clock/clock.ts";
import { ServiceError } from "./policy/reload_report.ts";

/** What a change is. */
export type ChangeKind = "start" | "reload" | "upgrade" | "services";

/** How a change is requested. */
export interface ChangeRequest {
  /**
   * What the change is called.
   *
   * @default The kind.
   */
  readonly name?: string;
  /** Equal for changes of the same effect: the last one that waits does for both. */
  readonly key?: string;
  /** Aborted when nobody waits for the change any more; then it is not begun. */
  readonly signal?: AbortSignal;
  /**
   * Whether it is refused when too many changes wait.
   *
   * @default {false}
   */
  readonly isBounded?: boolean;
}

/** The most changes that wait. */
export const MAX_WAITING = 32;

/** A change that is under way. */
export interface CurrentChange {
  readonly kind: ChangeKind;
  readonly name: string;
  /** When it began, in milliseconds since 1970. */
  readonly atMs: number;
  /** By the clock. */
  readonly sinceMs: number;
}

interface Waiting {
  readonly kind: ChangeKind;
  readonly name: string;
  readonly key?: string;
  readonly result: Promise<unknown>;
  /** How many want it. */
  wanted: number;
  run(): Promise<void>;
  cancel(reason: Error): void;
}

/** Runs changes one at a time. */
export class Changes {
  readonly #waiting: Waiting[] = [];
  readonly #mayRun: () => boolean;
  readonly #clock: Pick<Clock, "nowMs">;
  /** The change that is under way. The start counts as one, so that later requests wait for it. */
  #current: CurrentChange | undefined;
  #idle = Promise.resolve();
  /** Why no change can be requested any more. */
  #refusal?: Error;

  /**
   * @param mayRun Whether a change may begin now.
   * @param clock The source of time.
   */
  constructor(mayRun: () => boolean, clock: Pick<Clock, "nowMs"> = systemClock) {
    this.#mayRun = mayRun;
    this.#clock = clock;
    this.#current = this.#begun({ kind: "start", name: "start" });
  }

  /** The change that is under way. */
  get current(): CurrentChange | undefined {
    return this.#current;
  }

  #begun(change: Pick<CurrentChange, "kind" | "name">): CurrentChange {
    return { ...change, atMs: Date.now(), sinceMs: this.#clock.nowMs() };
  }

  /** Fulfilled when no change is under way, and none that may run waits. */
  get idle(): Promise<void> {
    return this.#idle;
  }

  /** Whether a change of this kind waits. */
  isWaiting(kind: ChangeKind): boolean {
    return this.#waiting.some((one) => one.kind === kind);
  }

  /** Has a change of this kind that waits done in any case; returns whether one waits. */
  insist(kind: ChangeKind): boolean {
    const found = this.#waiting.find((one) => one.kind === kind);
    if (found !== undefined) found.wanted++;
    return found !== undefined;
  }

  /**
   * Runs a change once those before it are over.
   *
   * @param kind What it is.
   * @param change The change.
   * @param request How it is requested.
   * @returns Its result; rejected with the reason of {@linkcode cancel} or of the signal after that.
   * @throws {ServiceError} When too many wait.
   */
  request<T>(
    kind: ChangeKind,
    change: () => Promise<T>,
    { name = kind, key, signal, isBounded = false }: ChangeRequest = {},
  ): Promise<T> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const last = this.#waiting.at(-1);
    if (key !== undefined && last?.key === key) {
      last.wanted++;
      this.#dropWhenAborted(last, signal);
      return last.result as Promise<T>;
    }
    if (isBounded && this.#waiting.length >= MAX_WAITING) {
      const why = `${MAX_WAITING} changes wait already, expected fewer`;
      throw new ServiceError("busy", `Cannot change services: ${why}`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = () => change().then(resolve, reject);
    const waiting: Waiting = { kind, name, key, result: promise, wanted: 1, run, cancel: reject };
    this.#waiting.push(waiting);
    this.#dropWhenAborted(waiting, signal);
    if (this.#current === undefined) this.#begin();
    return promise;
  }

  #dropWhenAborted(waiting: Waiting, signal: AbortSignal | undefined): void {
    const drop = () => {
      const at = this.#waiting.indexOf(waiting);
      if (--waiting.wanted > 0 || at < 0) return;
      this.#waiting.splice(at, 1);
      waiting.cancel(signal?.reason);
    };
    signal?.addEventListener("abort", drop, { once: true });
    waiting.result.catch(() => {}).finally(() => signal?.removeEventListener("abort", drop));
  }

  /** Marks the master as busy with its start, so that requests wait for {@linkcode resume}. */
  hold(): void {
    this.#refusal = undefined;
    this.#current = this.#begun({ kind: "start", name: "start" });
  }

  /** Runs the changes that wait, and accepts further ones. */
  resume(): void {
    this.#refusal = undefined;
    this.#begin();
  }

  /** Rejects the changes that wait, and later ones until {@linkcode resume} or {@linkcode hold}. */
  cancel(reason: Error): void {
    this.#refusal = reason;
    for (const { cancel } of this.#waiting.splice(0)) cancel(reason);
  }

  #begin(): void {
    this.#idle = this.#work();
  }

  async #work(): Promise<void> {
    for (let next; this.#mayRun() && (next = this.#waiting.shift()) !== undefined;) {
      this.#current = this.#begun({ kind: next.kind, name: next.name });
      await next.run();
    }
    this.#current = undefined;
  }
}

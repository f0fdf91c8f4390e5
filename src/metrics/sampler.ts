/**
 * The regular look at the master: for the history, and once a second for those who look at the page.
 *
 * @module
 */
import { changeText } from "../control/under_way.ts";
import { zdebug } from "../log/log.ts";
import { type Clock, delay, type Timer } from "../os/clock/clock.ts";
import { type History, STEP_MS } from "./history.ts";
import type { StatusSource } from "./status_source.ts";
import type { ServerEvent, Viewers } from "./viewers.ts";

/** The time between two looks while somebody looks at the page. */
const WATCHED_MS = 1_000;

/** The time between two attempts to connect for events. */
const EVENTS_RETRY_MS = 1_000;

/** What the sampler connects. */
export interface SamplerParts {
  readonly source: StatusSource;
  readonly history: History;
  readonly viewers: Viewers;
  readonly clock: Clock;
}

/** Takes the status again and again, until it is stopped. */
export class Sampler {
  readonly #parts: SamplerParts;
  #timer: Timer | undefined;
  #isTaking = false;
  /** Whether something has happened since the look under way has begun. */
  #isDue = false;
  #isStopped = false;
  #closeEvents: (() => void) | undefined;
  #isListening = false;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
  }

  /** Looks now, and regularly from now on. */
  start(): void {
    void this.#take();
  }

  /** Looks at once: somebody has come, or something has happened. */
  soon(): void {
    this.#isDue = true;
    if (this.#isTaking || this.#isStopped) return;
    this.#timer?.cancel();
    void this.#take();
  }

  /** Ends it. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#closeEvents?.();
  }

  async #take(): Promise<void> {
    const { viewers, clock } = this.#parts;
    this.#isTaking = true;
    this.#isDue = false;
    if (viewers.count > 0) void this.#listen();
    else this.#closeEvents?.();
    try {
      viewers.publish(await this.#look());
    } finally {
      this.#isTaking = false;
    }
    if (this.#isStopped) return;
    if (this.#isDue) return void this.#take();
    const waitMs = viewers.count > 0 ? WATCHED_MS : STEP_MS;
    this.#timer = clock.setTimer(waitMs, () => void this.#take());
  }

  async #look(): Promise<ServerEvent> {
    const { source, history, clock } = this.#parts;
    try {
      const status = await source.get(), atMs = Date.now();
      history.add(status, { nowMs: clock.nowMs(), atMs });
      const point = history.points.at(-1) ?? null, change = changeText(status) ?? null;
      return { event: "status", data: { atMs, status, change, point } };
    } catch (error) {
      zdebug("the master does not answer:", error);
      return { event: "lost", data: null };
    }
  }

  /** Waits for events while somebody looks. */
  async #listen(): Promise<void> {
    if (this.#isListening) return;
    this.#isListening = true;
    const { source, viewers, clock } = this.#parts;
    while (!this.#isStopped && viewers.count > 0) {
      try {
        const { client, events } = await source.events();
        this.#closeEvents = () => {
          this.#closeEvents = undefined;
          client.close();
        };
        for await (const _ of events) this.soon();
      } catch (error) {
        zdebug("no events of the master:", error);
      }
      this.#closeEvents?.();
      if (this.#isStopped || viewers.count === 0) break;
      this.soon();
      await delay(EVENTS_RETRY_MS, clock);
    }
    this.#isListening = false;
  }
}

/**
 * The way to the status of the master: few requests, however many ask here.
 *
 * @module
 */
import type { ControlEvent } from "../control/messages.ts";
import type { Status } from "../control/status.ts";
import { type Clock, delay, systemClock, within } from "../os/clock/clock.ts";

/** The least time between the beginnings of two requests. */
const INTERVAL_MS = 250;

/** How long a master may take to answer. */
const ANSWER_MS = 5_000;

/** How long the path may lead to no master: at an upgrade the old one closes its socket before the new one opens it. */
const GAP_MS = 2_000, RETRY_MS = 100;

/** What is used of a client of the control socket. */
export interface StatusClient {
  request(command: "status"): Promise<Status>;
  events(): Promise<AsyncIterable<ControlEvent>>;
  close(): void;
}

/** How the master is reached. */
export interface StatusSourceOptions {
  /** Connects anew, since the path leads to another master after an upgrade. */
  readonly connect: () => Promise<StatusClient>;
  /** @default {systemClock} */
  readonly clock?: Clock;
}

/** The status of the master, and its events. */
export class StatusSource {
  readonly #connect: () => Promise<StatusClient>;
  readonly #clock: Clock;
  /** The request that is to be made next, for all who ask until it begins. */
  #next: Promise<Status> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #lastMs = -Infinity;

  constructor({ connect, clock = systemClock }: StatusSourceOptions) {
    this.#connect = connect;
    this.#clock = clock;
  }

  /**
   * Asks for the status.
   *
   * @returns A status that was taken after this call.
   * @throws {Error} When the master does not answer.
   */
  get(): Promise<Status> {
    return this.#next ??= this.#askInTurn();
  }

  /**
   * Connects for events.
   *
   * @returns The client, to be closed by the caller, and its events until the master ends or hands over.
   * @throws {Error} When the master does not answer.
   */
  async events(): Promise<
    { readonly client: Pick<StatusClient, "close">; readonly events: AsyncIterable<ControlEvent> }
  > {
    const client = await this.#connect();
    try {
      return { client, events: await this.#inTime(client.events()) };
    } catch (error) {
      client.close();
      throw error;
    }
  }

  async #askInTurn(): Promise<Status> {
    await this.#last;
    const waitMs = this.#lastMs + INTERVAL_MS - this.#clock.nowMs();
    if (waitMs > 0) await delay(waitMs, this.#clock);
    this.#next = undefined;
    this.#lastMs = this.#clock.nowMs();
    const answer = this.#ask();
    this.#last = answer.catch(() => {});
    return await answer;
  }

  async #ask(): Promise<Status> {
    for (const beganMs = this.#clock.nowMs();;) {
      try {
        return await this.#askOnce();
      } catch (error) {
        if (!isGap(error) || this.#clock.nowMs() - beganMs > GAP_MS) throw error;
      }
      await delay(RETRY_MS, this.#clock);
    }
  }

  async #askOnce(): Promise<Status> {
    const client = await this.#connect();
    try {
      return await this.#inTime(client.request("status"));
    } finally {
      client.close();
    }
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    return within(answer, {
      ms: ANSWER_MS,
      clock: this.#clock,
      late: () => {
        throw new Deno.errors.TimedOut(`no answer within ${ANSWER_MS / 1000} s`);
      },
    });
  }
}

/** Whether a master has just ended, or has not opened its socket yet. */
function isGap(error: unknown): boolean {
  const { NotFound, ConnectionRefused, ConnectionReset, BrokenPipe, UnexpectedEof } = Deno.errors;
  return [NotFound, ConnectionRefused, ConnectionReset, BrokenPipe, UnexpectedEof]
    .some((kind) => error instanceof kind);
}

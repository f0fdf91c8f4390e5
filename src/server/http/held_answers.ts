/**
 * HTTP/2 responses that are held back for a moment, so that all of them go out together with GOAWAY.
 *
 * A client of node answers a GOAWAY with its own, and the runtime then closes the connection with all
 * requests that are pending on it. A client that sends requests without a pause on several streams always
 * has a pending one; but it sends the next only after a response. On a busy machine its next requests may come
 * late, so responses are held until the pace of each client shows that it has no request on its way.
 *
 * @module
 */
import { type Clock, systemClock } from "../../os/clock/clock.ts";
import { type ClientPace, LONGEST_PAUSE_MS, SHORTEST_SILENCE_MS } from "./client_pace.ts";

/** The longest time to hold responses: at first, and in a later attempt. */
const FIRST_LIMIT_MS = 250, LAST_LIMIT_MS = LONGEST_PAUSE_MS;

/** The time between two checks. */
const CHECK_MS = 10;

/** When a check is late by this much, requests that arrived meanwhile have not been read yet. */
const LATE_MS = 40;

/** What is known of the requests. */
export interface HeldRequests {
  /** Returns the number of pending requests, those with a held response included. */
  underWay(): number;
  /** Returns the paces of all clients over HTTP/2 that are connected. */
  paces(): readonly ClientPace[];
  /**
   * Called directly after a release with whether all missing responses were held; returns whether no responses
   * need to be held again.
   */
  released(all: boolean): boolean;
}

/** The responses that are held. */
export class HeldAnswers {
  readonly #requests: HeldRequests;
  readonly #clock: Clock;
  #gate?: PromiseWithResolvers<void>;
  #held = 0;
  #sinceMs = 0;
  #limitMs = FIRST_LIMIT_MS;
  #notBeforeMs = -Infinity;

  /**
   * @param requests What is known of the requests.
   * @param clock The source of time.
   */
  constructor(requests: HeldRequests, clock: Clock = systemClock) {
    this.#requests = requests;
    this.#clock = clock;
  }

  /** Whether responses are being held. */
  get isHolding(): boolean {
    return this.#gate !== undefined;
  }

  /** Starts to hold responses, unless it does already or has done so a short time ago. */
  begin(): void {
    const nowMs = this.#clock.nowMs();
    if (this.isHolding || nowMs < this.#notBeforeMs) return;
    this.#gate = Promise.withResolvers();
    this.#sinceMs = nowMs;
    this.#checkLater(this.#gate);
  }

  /** Returns the response once it is released. */
  async hold(answer: Response): Promise<Response> {
    const gate = this.#gate;
    if (gate === undefined) return answer;
    this.#held++;
    await gate.promise;
    return answer;
  }

  /** Releases all responses. */
  release(): void {
    this.#held = 0;
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  #checkLater(gate: PromiseWithResolvers<void>): void {
    const dueMs = this.#clock.nowMs() + CHECK_MS;
    this.#clock.setTimer(CHECK_MS, () => {
      if (this.#gate !== gate) return;
      const nowMs = this.#clock.nowMs();
      if (nowMs - dueMs < LATE_MS) this.#check(nowMs);
      if (this.#gate === gate) this.#checkLater(gate);
    });
  }

  #check(nowMs: number): void {
    const heldMs = nowMs - this.#sinceMs;
    if (heldMs < SHORTEST_SILENCE_MS) return;
    const all = this.#held >= this.#requests.underWay();
    const paces = this.#requests.paces();
    const haveAllCome = paces.every((pace) => pace.haveAllCome);
    if (all && haveAllCome && paces.every((pace) => pace.isSilent(nowMs))) {
      this.release();
      this.#requests.released(true);
      return;
    }
    const longestMs = paces.reduce((most, { waitMs }) => Math.max(most, waitMs), this.#limitMs);
    const limitMs = Math.min(longestMs, LAST_LIMIT_MS);
    if (heldMs < limitMs) return;
    // A client may ask for less by now: a long wait for more is not repeated.
    for (const pace of paces) pace.forgetMost();
    this.release();
    const mayGo = haveAllCome || this.#limitMs === LAST_LIMIT_MS;
    if (mayGo && this.#requests.released(all)) return;
    // The other requests have waited for nothing: wait some time before the next attempt.
    this.#notBeforeMs = nowMs + 2 * this.#limitMs;
    this.#limitMs = Math.min(2 * this.#limitMs, LAST_LIMIT_MS);
  }
}

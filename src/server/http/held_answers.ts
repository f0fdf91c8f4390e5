/**
 * HTTP/2 responses that are held back for a moment, so that all of them go out together with GOAWAY.
 *
 * A client of node answers a GOAWAY with its own, and the runtime then closes the connection with all
 * requests that are pending on it. A client that sends requests without a pause on several streams always
 * has a pending one; but it sends the next only after a response. On a busy machine its next requests may come
 * late, so responses are held until as many requests are pending again as there were before.
 *
 * @module
 */
import { type Clock, systemClock } from "../../os/clock/clock.ts";

/** The shortest time to hold responses, in which other clients' next requests arrive. */
const SHORTEST_MS = 100;

/** The longest time to hold responses: at first, and in a later attempt. */
const FIRST_LIMIT_MS = 250, LAST_LIMIT_MS = 1_000;

/** The responses that are held. */
export class HeldAnswers {
  readonly #underWay: () => number;
  readonly #onReleased: (all: boolean) => boolean;
  readonly #clock: Clock;
  #gate?: PromiseWithResolvers<void>;
  #held = 0;
  #sinceMs = 0;
  #limitMs = FIRST_LIMIT_MS;
  #notBeforeMs = -Infinity;
  /** The pending requests over HTTP/2, and the most of them since the drain or the last attempt began. */
  #open = 0;
  #mostOpen = 0;

  /**
   * @param underWay Returns the number of pending requests, those with a held response included.
   * @param onReleased Called directly after a release with whether all missing responses were held; returns
   * whether no responses need to be held again.
   * @param clock The source of time.
   */
  constructor(
    underWay: () => number,
    onReleased: (all: boolean) => boolean,
    clock: Clock = systemClock,
  ) {
    this.#underWay = underWay;
    this.#onReleased = onReleased;
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
    const gate = this.#gate = Promise.withResolvers<void>();
    this.#sinceMs = nowMs;
    this.#clock.setTimer(SHORTEST_MS, () => this.#look());
    this.#clock.setTimer(this.#limitMs, () => {
      if (this.#gate !== gate) return;
      const all = this.#held >= this.#underWay();
      // A client may have asked for less by now: a long wait for more is not repeated.
      const mayGo = this.#haveAllCome || this.#limitMs === LAST_LIMIT_MS;
      this.#mostOpen = this.#open;
      this.release();
      if (mayGo && this.#onReleased(all)) return;
      // The other requests have waited for nothing: wait some time before the next attempt.
      this.#notBeforeMs = this.#clock.nowMs() + 2 * this.#limitMs;
      this.#limitMs = Math.min(2 * this.#limitMs, LAST_LIMIT_MS);
    });
  }

  /** Counts a request over HTTP/2 until it is answered. */
  countUntil(completed: Promise<unknown>): void {
    this.#mostOpen = Math.max(this.#mostOpen, ++this.#open);
    const answered = () => this.#open--;
    completed.then(answered, answered);
  }

  /** Whether no further request is expected of a client that sends the next one after a response. */
  get #haveAllCome(): boolean {
    return this.#open >= this.#mostOpen;
  }

  /** Returns the response once it is released. */
  async hold(answer: Response): Promise<Response> {
    const gate = this.#gate;
    if (gate === undefined) return answer;
    this.#held++;
    this.#look();
    await gate.promise;
    return answer;
  }

  #look(): void {
    if (!this.isHolding || this.#clock.nowMs() - this.#sinceMs < SHORTEST_MS) return;
    if (this.#held < this.#underWay() || !this.#haveAllCome) return;
    this.release();
    this.#onReleased(true);
  }

  /** Releases all responses. */
  release(): void {
    this.#held = 0;
    this.#gate?.resolve();
    this.#gate = undefined;
  }
}

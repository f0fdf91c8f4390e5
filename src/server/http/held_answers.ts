/**
 * Answers over HTTP/2 that are held back for a moment, so that all are there at once and go out together
 * with the word that the server accepts no more (GOAWAY).
 *
 * A client of node answers that word with its own, and the runtime then closes the connection, with
 * whatever is not answered on it. A client that asks again and again, on several streams, leaves no
 * moment without such a request; but it asks only when it has an answer.
 *
 * @module
 */
import { type Clock, systemClock } from "../../os/clock/clock.ts";

/** For how long answers are held at least: other clients' next requests are on their way. */
const SHORTEST_MS = 100;

/** For how long at most: at first, and later on, when it was not enough. */
const FIRST_LIMIT_MS = 250, LAST_LIMIT_MS = 1_000;

/** Answers that are held. */
export class HeldAnswers {
  readonly #underWay: () => number;
  readonly #onReleased: (all: boolean) => boolean;
  readonly #clock: Clock;
  #gate?: PromiseWithResolvers<void>;
  #held = 0;
  #sinceMs = 0;
  #limitMs = FIRST_LIMIT_MS;
  #notBeforeMs = -Infinity;

  /**
   * @param underWay How many requests are not answered, those included whose answers are held.
   * @param onReleased Called right behind a release, and told whether all answers that were missing
   * were held; it returns whether no answers need to be held again.
   * @param clock Where time comes from.
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

  /** Whether answers are to be held. */
  get isHolding(): boolean {
    return this.#gate !== undefined;
  }

  /** Holds answers from now on, unless it does or has done so just before. */
  begin(): void {
    const nowMs = this.#clock.nowMs();
    if (this.isHolding || nowMs < this.#notBeforeMs) return;
    const gate = this.#gate = Promise.withResolvers<void>();
    this.#sinceMs = nowMs;
    this.#clock.setTimer(SHORTEST_MS, () => this.#look());
    this.#clock.setTimer(this.#limitMs, () => {
      if (this.#gate !== gate) return;
      this.release();
      if (this.#onReleased(false)) return;
      // The others have waited in vain: let some time pass before the next try.
      this.#notBeforeMs = this.#clock.nowMs() + 2 * this.#limitMs;
      this.#limitMs = Math.min(2 * this.#limitMs, LAST_LIMIT_MS);
    });
  }

  /** Gives an answer back when it is released. */
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
    if (this.#held < this.#underWay()) return;
    this.release();
    this.#onReleased(true);
  }

  /** Holds no more. */
  release(): void {
    this.#held = 0;
    this.#gate?.resolve();
    this.#gate = undefined;
  }
}

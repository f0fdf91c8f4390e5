/**
 * How a client sends requests over HTTP/2: how many at once, and how long it pauses before the next ones.
 *
 * @module
 */

/** The shortest silence after which a client that has sent a request sends no other before an answer. */
export const SHORTEST_SILENCE_MS = 100;

/** Longer pauses are those of a client that has nothing to ask. */
export const LONGEST_PAUSE_MS = 1_000;

/** The silence, as a multiple of the longest pause: on a busy machine pauses differ. */
const SAFETY = 2;

/**
 * The requests of one client since the drain began. It shows when a client that sends the next request only
 * after an answer can't have one on its way: as many are pending as there were before, and the client has been
 * silent for clearly longer than it ever paused before a request. The first alone proves little: of eight
 * requests in turns of five and three, at most five may be pending at once.
 */
export class ClientPace {
  /** The number of clients that share this pace. In turns, they make the pauses of all shorter. */
  clients = 1;
  #open = 0;
  /** The most pending requests at once since the drain began, or since `forgetMost`. */
  #mostOpen = 0;
  /** The time of the last request or answer. */
  #lastMs?: number;
  #longestPauseMs = 0;

  /** Counts a request. */
  begun(nowMs: number): void {
    const pauseMs = nowMs - (this.#lastMs ?? nowMs);
    if (pauseMs <= LONGEST_PAUSE_MS) this.#longestPauseMs = Math.max(this.#longestPauseMs, pauseMs);
    this.#mostOpen = Math.max(this.#mostOpen, ++this.#open);
    this.#lastMs = nowMs;
  }

  /** Counts a complete answer. */
  answered(nowMs: number): void {
    this.#open--;
    this.#lastMs = nowMs;
  }

  /** Whether as many requests are pending as there were before. */
  get haveAllCome(): boolean {
    return this.#open >= this.#mostOpen;
  }

  /** Whether the client has been silent for longer than it pauses before a request. */
  isSilent(nowMs: number): boolean {
    return this.#lastMs === undefined || nowMs - this.#lastMs >= this.#silenceMs;
  }

  /** The time in which its next requests come, and the silence after them. */
  get waitMs(): number {
    return this.#pauseMs + this.#silenceMs;
  }

  get #silenceMs(): number {
    return SHORTEST_SILENCE_MS + SAFETY * this.#pauseMs;
  }

  get #pauseMs(): number {
    return this.#longestPauseMs * this.clients;
  }

  /** Compares from now on with the number of requests that are pending now. */
  forgetMost(): void {
    this.#mostOpen = this.#open;
  }
}

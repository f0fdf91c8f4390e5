/**
 * The turns in which outputs of servers are read: all outputs together get so much time, and then other events
 * get their turn.
 *
 * @module
 */
import type { Clock } from "../../os/clock/clock.ts";
import type { Poller } from "../../os/fd/poller.ts";

/** How long outputs are read in one turn. */
const TURN_MS = 10;

/** An output that can be read. */
export interface Readable {
  /**
   * Reads a part of what has arrived.
   *
   * @param isOver Whether it is to be left for now.
   */
  read(isOver: () => boolean): void;
}

/** Shares the time between outputs. */
export class ReadTurns {
  readonly #poller: Pick<Poller, "turn">;
  readonly #clock: Clock;
  #turn = NaN;
  #untilMs = 0;
  /** Those that were ready, but got no time; the one that waits longest comes first. */
  readonly #waiting = new Set<Readable>();

  /**
   * @param poller Whose turns count.
   * @param clock The source of time.
   */
  constructor(poller: Pick<Poller, "turn">, clock: Clock) {
    this.#poller = poller;
    this.#clock = clock;
  }

  /** Reads an output that is ready, after those that wait; or lets it wait. It will be ready again. */
  read(output: Readable): void {
    if (this.#poller.turn !== this.#turn) {
      this.#turn = this.#poller.turn;
      this.#untilMs = this.#clock.nowMs() + TURN_MS;
    }
    this.#waiting.add(output);
    const isOver = () => this.#clock.nowMs() >= this.#untilMs;
    for (const first of this.#waiting) {
      if (isOver()) return;
      this.#waiting.delete(first);
      first.read(isOver);
    }
  }

  /** Forgets an output, which is closed. */
  forget(output: Readable): void {
    this.#waiting.delete(output);
  }
}

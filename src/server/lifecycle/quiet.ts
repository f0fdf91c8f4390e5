/**
 * Looks at the open connections of this process, for all that wait until some of them are closed or
 * quiet. One look at all descriptors answers for every listener: with a look for each of a thousand
 * listeners, the process would do nothing else for many seconds.
 *
 * @module
 */
import { type Clock, systemClock } from "../../os/clock/clock.ts";
import { OpenConnections } from "../../os/net/connections.ts";

/** When to look for the first time, and how often from then on. */
const FIRST_LOOK_MS = 1, LOOK_MS = 100;

/** With many connections a look takes its time: it is let rest so many times as long. */
const LOOK_REST = 20;

/** What is asked at each look. */
type Question = (open: Pick<OpenConnections, "at">) => boolean;

/** Looks again and again for as long as a question is open. */
export class ConnectionLooks {
  readonly #clock: Clock;
  readonly #look: () => Pick<OpenConnections, "at">;
  readonly #open = new Map<Question, () => void>();
  #isWaiting = false;

  /**
   * @param clock Where time comes from.
   * @param look Finds the connections that are open.
   */
  constructor(
    clock: Clock = systemClock,
    look: () => Pick<OpenConnections, "at"> = () => new OpenConnections(),
  ) {
    this.#clock = clock;
    this.#look = look;
  }

  /**
   * Asks a question at each look, the first of which is in the next turn of the event loop. The
   * connections are looked for only when it asks for them: without FFI there is no way to.
   *
   * @param question Whether what is waited for has come, given the connections that are open.
   * @returns Fulfilled when it has.
   */
  until(question: Question): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#open.set(question, resolve);
    if (!this.#isWaiting) this.#wait(FIRST_LOOK_MS);
    return promise;
  }

  #wait(pauseMs: number): void {
    this.#isWaiting = true;
    this.#clock.setTimer(pauseMs, () => {
      const beginMs = this.#clock.nowMs();
      let found: Pick<OpenConnections, "at"> | undefined;
      const open: Pick<OpenConnections, "at"> = {
        at: (address) => (found ??= this.#look()).at(address),
      };
      for (const [question, answered] of this.#open) {
        if (!question(open)) continue;
        this.#open.delete(question);
        answered();
      }
      this.#isWaiting = false;
      const tookMs = this.#clock.nowMs() - beginMs;
      if (this.#open.size > 0) this.#wait(Math.max(LOOK_MS, LOOK_REST * tookMs));
    });
  }
}

/** Those of this process. */
export const connectionLooks: ConnectionLooks = new ConnectionLooks();

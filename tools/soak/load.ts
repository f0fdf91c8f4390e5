/**
 * The load: for each target some that make a connection for each request, and some that keep their
 * connection and always have a request under way. Every answer is checked and counted.
 *
 * @module
 */
import { type Random, seededRandom } from "../../tests/support/random.ts";
import { type LoadAnswer, LoadConnection, type LoadRequest, Loss } from "./load_connection.ts";
import { LOAD_KINDS, type LoadKind, type LoadSettings, type LoadTarget } from "./load_plan.ts";
import { Tally, type TallyReport } from "./tally.ts";

/** Between a loss and the next request, so that a server that is gone is not asked without end. */
const PAUSE_AFTER_LOSS_MS = 20;

const LONGEST_ANSWER = 64 * 1024;

/** Those that ask one target. */
export interface Askers {
  /** Ends them when they have the answers that are under way. */
  stop(): Promise<void>;
  /** Fulfilled when they have ended. */
  readonly ended: Promise<void>;
}

/** All that one client asks. */
export class Load {
  readonly #settings: LoadSettings;
  readonly #random: Random;
  readonly #tallies = new Map<string, Tally>();
  readonly #id = crypto.randomUUID().slice(0, 8);
  #requests = 0;
  #farewell = false;

  /** @param settings How much is asked. */
  constructor(settings: LoadSettings) {
    this.#settings = settings;
    this.#random = seededRandom(settings.seed);
  }

  /**
   * Begins to ask a target.
   *
   * @param target Whom.
   * @returns Those that ask.
   */
  ask(target: LoadTarget): Askers {
    let stopped = false;
    const goesOn = () => !stopped;
    const { connections } = this.#settings;
    const kinds = LOAD_KINDS.filter((kind) => connections[kind] > 0);
    const ended = Promise.all(kinds.flatMap((kind) => {
      const tally = this.#tally(target.name, kind);
      const asker = kind === "fresh" ? this.#askAfresh : this.#askKept;
      return Array.from(
        { length: connections[kind] },
        () => asker.call(this, { target, tally, goesOn }),
      );
    })).then(() => {});
    return {
      ended,
      stop() {
        stopped = true;
        return ended;
      },
    };
  }

  /**
   * Says that the whole installation is told to stop: from now on a connection that is refused is no
   * loss, and ends the one who wanted it; nor is one that is reset before its first answer, which has
   * waited in the queue of a listener.
   */
  expectEnd(): void {
    this.#farewell = true;
  }

  /** What has become of the requests so far. */
  report(): TallyReport[] {
    return [...this.#tallies.values()].map((tally) => tally.report());
  }

  #tally(target: string, kind: LoadKind): Tally {
    const key = `${target} ${kind}`;
    const tally = this.#tallies.get(key) ?? new Tally(target, kind);
    this.#tallies.set(key, tally);
    return tally;
  }

  async #askAfresh({ target, tally, goesOn }: Asker): Promise<void> {
    while (goesOn()) {
      const asked = await this.#one(tally, async () => {
        using connection = await LoadConnection.open(target, this.#settings.timeoutMs);
        const { late } = this.#settings;
        if (this.#oneIn(late.oneIn)) await pause(this.#random(late.ms + 1));
        const answer = await timed(connection, this.#request(true));
        if (target.protocol === "http") await connection.ended();
        return answer;
      });
      if (asked === "refusedAtEnd") return;
    }
  }

  async #askKept({ target, tally, goesOn }: Asker): Promise<void> {
    let connection: LoadConnection | undefined;
    let left = 0;
    while (goesOn()) {
      const asked = await this.#one(tally, async () => {
        if (connection === undefined) {
          connection = await LoadConnection.open(target, this.#settings.timeoutMs);
          left = this.#keptAnswers(target);
        }
        return await timed(connection, this.#request(false));
      }, () => connection?.answered ?? 0);
      if (typeof asked === "object" && !asked.last && --left > 0) continue;
      connection?.close();
      connection = undefined;
      if (asked === "refusedAtEnd") return;
    }
    connection?.close();
  }

  #keptAnswers({ protocol }: LoadTarget): number {
    const { least, most } = this.#settings.keptAnswers;
    return protocol === "http" ? Infinity : least + this.#random(most - least + 1);
  }

  /** Makes one request, and counts it. */
  async #one(
    tally: Tally,
    ask: () => Promise<LoadAnswer & { readonly ms: number }>,
    answeredBefore = () => 0,
  ): Promise<LoadAnswer | "lost" | "refusedAtEnd"> {
    try {
      const answer = await ask();
      tally.answered(answer);
      return answer;
    } catch (error) {
      if (!(error instanceof Loss)) throw error;
      if (this.#farewell && error.kind === "refused") {
        tally.parted("refusedAtEnd");
        return "refusedAtEnd";
      }
      if (this.#farewell && error.kind === "reset" && answeredBefore() === 0) {
        tally.parted("queuedAtEnd");
      } else tally.lost(error.kind, error.message);
      await pause(PAUSE_AFTER_LOSS_MS);
      return "lost";
    }
  }

  #oneIn(count: number): boolean {
    return this.#random(count) === 0;
  }

  #request(only: boolean): LoadRequest {
    const { delayMs, longDelayMs } = this.#settings;
    const random = this.#random;
    return {
      token: `${this.#id}-${this.#requests++}`,
      length: this.#oneIn(16) ? random(LONGEST_ANSWER) : random(64),
      delayMs: this.#oneIn(500)
        ? random(longDelayMs + 1)
        : this.#oneIn(4)
        ? 0
        : random(delayMs + 1),
      asBody: this.#oneIn(2),
      only,
    };
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

interface Asker {
  readonly target: LoadTarget;
  readonly tally: Tally;
  readonly goesOn: () => boolean;
}

/** Asks, and tells how much longer than asked for the answer took. */
async function timed(
  connection: LoadConnection,
  request: LoadRequest,
): Promise<LoadAnswer & { readonly ms: number }> {
  const before = performance.now();
  const answer = await connection.ask(request);
  // A timer may be early by what the clocks round.
  return { ...answer, ms: Math.max(0, performance.now() - before - request.delayMs) };
}

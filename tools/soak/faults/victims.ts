/**
 * Clients of servers that are killed while they answer: each request that fails is put down to a
 * process that was killed, or to nobody.
 *
 * @module
 */
import { Client, type Target } from "../../../tests/support/client.ts";
import { pidIn } from "../../../tests/support/master.ts";
import { Latencies } from "../latencies.ts";

/** Requests on a connection that is kept, before it is made anew. */
const REQUESTS_PER_CONNECTION = 20;

/** Who was killed, and when. */
export class Kills {
  readonly #times = new Map<number, number>();

  /** How many. */
  get count(): number {
    return this.#times.size;
  }

  /**
   * Notes a process, just before it is killed.
   *
   * @param pid Its id.
   */
  add(pid: number): void {
    this.#times.set(pid, performance.now());
  }

  /**
   * Whether a process was killed.
   *
   * @param pid Its id.
   */
  has(pid: number): boolean {
    return this.#times.has(pid);
  }

  /**
   * Whether any process was killed since a moment.
   *
   * @param sinceMs The moment, as `performance.now()` has it.
   */
  anySince(sinceMs: number): boolean {
    return [...this.#times.values()].some((ms) => ms >= sinceMs);
  }
}

/** What has become of the requests. */
export interface VictimCounts {
  answered: number;
  /** Nobody listened. */
  refused: number;
  /** The connection ended, and the process that had greeted on it was killed. */
  known: number;
  /** The connection ended before the greeting, and a process was killed within that time. */
  byTime: number;
  /** The connection ended, and nobody who was killed can be the reason; or the answer was wrong. */
  unexplained: number;
}

/** Clients that ask until they are told to end. */
export class Victims {
  /** What has become of their requests so far. */
  readonly counts: VictimCounts = { answered: 0, refused: 0, known: 0, byTime: 0, unexplained: 0 };
  /** How long the answers took. */
  readonly latencies: Latencies = new Latencies();
  /** The first failures that nothing explains, in words. */
  readonly examples: string[] = [];
  readonly #kills: Kills;
  readonly #clients: Promise<unknown>;
  #running = true;

  /**
   * Begins to ask.
   *
   * @param targets Whom: each by two clients, one of which makes a connection for each request.
   * @param kills Who is killed meanwhile.
   */
  constructor(targets: readonly Target[], kills: Kills) {
    this.#kills = kills;
    this.#clients = Promise.all(targets.flatMap((target) => [
      this.#ask(target, 1),
      this.#ask(target, REQUESTS_PER_CONNECTION),
    ]));
  }

  /** Ends them, each with its answer. */
  async end(): Promise<void> {
    this.#running = false;
    await this.#clients;
  }

  async #ask(target: Target, requests: number): Promise<void> {
    while (this.#running) {
      const startMs = performance.now();
      let pid: number | undefined;
      try {
        await this.#connection(target, { requests, startMs, greeted: (by) => pid = by });
      } catch (error) {
        this.#failed(error, { startMs, pid });
      }
    }
  }

  async #connection(
    target: Target,
    { requests, startMs, greeted }: {
      readonly requests: number;
      readonly startMs: number;
      greeted(pid: number): void;
    },
  ): Promise<void> {
    using client = await Client.connect(target);
    const pid = pidIn({ greeting: await client.line() });
    greeted(pid);
    for (let count = 0, beganMs = startMs; count < requests; count++) {
      const token = `${pid}-${count}`;
      const answer = await client.ask(`echo ${token}`);
      if (answer !== token) throw new Error(`the answer to ${token} is ${answer}`);
      const now = performance.now();
      this.counts.answered++;
      this.latencies.add(now - beganMs);
      beganMs = now;
      // About as fast as one who thinks between two requests.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  #failed(error: unknown, { startMs, pid }: { startMs: number; pid: number | undefined }): void {
    if (error instanceof Deno.errors.ConnectionRefused) this.counts.refused++;
    else if (pid !== undefined && this.#kills.has(pid)) this.counts.known++;
    else if (pid === undefined && this.#kills.anySince(startMs)) this.counts.byTime++;
    else {
      this.counts.unexplained++;
      if (this.examples.length < 5) this.examples.push(`process ${pid}: ${error}`);
    }
  }
}

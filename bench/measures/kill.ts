/**
 * How long nobody answers after the only worker has been killed.
 *
 * @module
 */
import { answeringPid } from "../ask.ts";
import { NAMES } from "../bars.ts";
import { sleep } from "../bench.ts";
import { type Contender, type Running, startContender } from "../contenders/contender.ts";
import { withStandby } from "../contenders/master.ts";
import { rowText, Table } from "../table.ts";
import {
  checkouts,
  contenders,
  inTurns,
  keyOf,
  type Measure,
  type Plan,
  withContenders,
} from "./measure.ts";

const KILLS_PER_ROUND = 5;
/** An attempt without an answer is lost then. */
const PATIENCE_MS = 2_000;
/** When no answer is waited for any more; such a kill counts as so long. */
const LOST_MS = 6_000;
/** How long a worker lives before it is killed: some restart a younger one later. */
const LIFE_MS = 300;
const BETWEEN_ATTEMPTS_MS = 5;

interface Outcome {
  /** Until the next process answered, or {@linkcode LOST_MS}. */
  readonly ms: number;
  /** How many attempts since the kill got no answer. */
  readonly lost: number;
}

async function kill({ port }: Running): Promise<Outcome> {
  await sleep(LIFE_MS);
  const old = await answeringPid(port, PATIENCE_MS);
  if (old === undefined) return { ms: LOST_MS, lost: 1 };
  Deno.kill(old, "SIGKILL");
  const start = performance.now();
  let ms: number | undefined, lost = 0;
  const attempt = async () => {
    const pid = await answeringPid(port, PATIENCE_MS);
    if (pid === undefined) lost++;
    else ms ??= performance.now() - start;
  };
  const attempts: Promise<void>[] = [];
  while (ms === undefined && performance.now() - start < LOST_MS) {
    attempts.push(attempt());
    await sleep(BETWEEN_ATTEMPTS_MS);
  }
  await Promise.all(attempts);
  return { ms: ms ?? LOST_MS, lost };
}

/** Kills, and starts the contender anew when nobody answers any more. */
class Victim {
  /** How many kills were never followed by an answer. */
  lost = 0;
  #running: Running;

  constructor(readonly plan: Plan, running: Running) {
    this.#running = running;
  }

  get key() {
    return keyOf(this.#running);
  }

  async kill(table: Table): Promise<void> {
    const { ms, lost } = await kill(this.#running);
    const answered = ms < LOST_MS;
    table.add(this.key, { "ms": ms, "attempts lost": lost });
    if (answered) return;
    this.lost++;
    const { contender, count } = this.#running;
    await this.end();
    this.#running = await startContender(contender, { bench: this.plan.bench, count });
  }

  async end(): Promise<void> {
    await this.#running.end();
  }
}

const seconds = (ms: number): string => `${ms / 1000} s`;

/** Time to the next answer. */
export const killed: Measure = async (plan) => {
  const { rounds } = plan;
  const table = new Table(
    "kill",
    "Next answer after SIGKILL of the only worker",
    `A client begins to connect every ${BETWEEN_ATTEMPTS_MS} ms, until the next process has answered one ` +
      "of these attempts; lost are those that got no answer in time (" + seconds(PATIENCE_MS) +
      `). Median, least and worst of ${rounds * KILLS_PER_ROUND} kills. Without any answer for ` +
      seconds(LOST_MS) +
      " the contender is started anew. This project's workers count as healthy as " +
      "soon as they are ready (`server-healthy-after = 0`): each is killed long before the 10 s that " +
      "it takes by default, and a back-off is not what is measured.",
  );
  // Who can reload has somebody to start the next process. Those that lose attempts take their time.
  const which = ({ name, speaks, reload }: Contender) =>
    speaks === "http" && reload !== undefined && (plan.long || name === NAMES.masterHttp);
  const wanted = contenders(plan, { count: 1, which });
  const all = [
    ...wanted.filter(({ checkout }) => checkout !== undefined),
    ...checkouts(plan).map(withStandby),
    ...wanted.filter(({ checkout }) => checkout === undefined),
  ];
  await withContenders(plan, { all, count: 1, table }, async (running) => {
    const victims = running.map((one) => new Victim(plan, one));
    try {
      await inTurns({ all: victims, rounds, table, key: ({ key }) => key }, async (victim) => {
        for (let i = 0; i < KILLS_PER_ROUND; i++) await victim.kill(table);
      });
      for (const { key, lost } of victims) {
        if (lost > 0) {
          table.note(
            `${rowText(key)}: after ${lost} of the kills none of its processes has answered.`,
          );
        }
      }
    } finally {
      for (const victim of victims) await victim.end();
    }
  });
  return [table];
};

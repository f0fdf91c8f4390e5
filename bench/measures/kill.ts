/**
 * How long nobody answers after the only worker has been killed.
 *
 * @module
 */
import { answeringPid } from "../ask.ts";
import { sleep } from "../bench.ts";
import { type Contender, type Running, startContender } from "../contenders/contender.ts";
import { Table } from "../table.ts";
import { contenders, inTurns, keyOf, type Measure, type Plan, withContenders } from "./measure.ts";

const KILLS_PER_ROUND = 5;
/** The rounds that make 20 kills. */
const LEAST_ROUNDS = 4;
/** An attempt that hangs is given up then. */
const PATIENCE_MS = 5_000;
/** When no answer is waited for any more; such a kill counts as so long. */
const LOST_MS = 10_000;
/** How long a worker lives before it is killed: some restart a younger one later. */
const LIFE_MS = 300;
const BETWEEN_ATTEMPTS_MS = 0.5;

/** The time until the next process answers, or {@linkcode LOST_MS}. */
async function kill(running: Running): Promise<number> {
  await sleep(LIFE_MS);
  const old = await answeringPid(running.port, PATIENCE_MS);
  if (old === undefined) return LOST_MS;
  Deno.kill(old, "SIGKILL");
  const start = performance.now();
  for (let passed = 0; passed < LOST_MS; passed = performance.now() - start) {
    const pid = await answeringPid(running.port, PATIENCE_MS);
    if (pid !== undefined && pid !== old) return performance.now() - start;
    await sleep(BETWEEN_ATTEMPTS_MS);
  }
  return LOST_MS;
}

/** Kills, and starts the contender anew when nobody answers any more. */
class Victim {
  #running: Running;

  constructor(readonly plan: Plan, running: Running) {
    this.#running = running;
  }

  get key() {
    return keyOf(this.#running);
  }

  async kill(table: Table): Promise<void> {
    const ms = await kill(this.#running);
    const answered = ms < LOST_MS;
    table.add(this.key, { "ms": ms, "never answered": Number(!answered) });
    if (answered) return;
    const { contender, count } = this.#running;
    await this.end();
    this.#running = await startContender(contender, { bench: this.plan.bench, count });
  }

  async end(): Promise<void> {
    await this.#running.end();
  }
}

/** Time to the next answer. */
export const killed: Measure = async (plan) => {
  const rounds = Math.max(plan.rounds, LEAST_ROUNDS);
  const table = new Table(
    "kill",
    "Next answer after SIGKILL of the only worker",
    "One client connects again and again until the next process answers. Median, least and worst of " +
      `${rounds * KILLS_PER_ROUND} kills; an attempt without an answer is given up after ` +
      `${PATIENCE_MS / 1000} s, and all of them after ${
        LOST_MS / 1000
      } s: the contender is then started anew.`,
  );
  // Who can reload has somebody to start the next process.
  const which = ({ speaks, reload }: Contender) => speaks === "http" && reload !== undefined;
  const all = contenders(plan, { count: 1, which });
  await withContenders(plan, { all, count: 1, table }, async (running) => {
    const victims = running.map((one) => new Victim(plan, one));
    try {
      await inTurns({ all: victims, rounds, table, key: ({ key }) => key }, async (victim) => {
        for (let i = 0; i < KILLS_PER_ROUND; i++) await victim.kill(table);
      });
    } finally {
      for (const victim of victims) await victim.end();
    }
  });
  return [table];
};

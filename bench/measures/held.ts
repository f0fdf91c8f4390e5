/**
 * What an idle connection takes of a server's memory.
 *
 * @module
 */
import { NAMES } from "../bars.ts";
import { type Contender, rowOf, startContender } from "../contenders/contender.ts";
import { sleep } from "../bench.ts";
import { load } from "../load.ts";
import { memoryOf } from "../proc.ts";
import { Table } from "../table.ts";
import { contenders, inTurns, type Measure, roundsOf } from "./measure.ts";

/** Who is measured. */
const WHO: ReadonlySet<string> = new Set([
  NAMES.masterAio,
  NAMES.masterCoroutine,
  NAMES.denoListen,
  NAMES.nodeNet,
]);
/** Until a server that has got connections is idle. */
const SETTLE_MS = 1_500;
/** The connections that are opened first: they make the heap of a server as large as it gets with any load. */
const FIRST = 5_000;
/** The further connections, whose memory is measured. */
const FURTHER = 10_000;
const CONNECT_SECONDS = 2;
/** Longer than all of it takes. */
const HOLD_SECONDS = 60;

/** Memory of idle connections. */
export const held: Measure = async (plan) => {
  const table = new Table(
    "held",
    "Idle connections",
    `The growth of the resident memory of one server with ${FURTHER.toLocaleString("en-US")} ` +
      `connections, on each of which a line was echoed, beside ${FIRST.toLocaleString("en-US")} ` +
      "that were there before; without the kernel's memory.",
  );
  const { bench } = plan;
  const all = contenders(plan, { count: 1, which: ({ name }) => WHO.has(name) });
  const key = (contender: Contender) => rowOf(contender, 1);
  const rounds = roundsOf(plan, plan.long ? plan.rounds : 1);
  await inTurns({ all, rounds, table, key }, async (contender) => {
    const running = await startContender(contender, { bench, count: 1 });
    const loads: Promise<unknown>[] = [];
    /** Opens connections, which stay open, and returns the resident memory then. */
    const kbWith = async (connections: number): Promise<number> => {
      const { port } = running;
      const options = { port, connections, seconds: CONNECT_SECONDS, hold: HOLD_SECONDS };
      loads.push(load(bench, options));
      // The loads end later, unless they fail.
      await Promise.race([sleep(CONNECT_SECONDS * 1000 + SETTLE_MS), ...loads]);
      return memoryOf(running.pids().workers[0]!).resident * 1024;
    };
    try {
      const before = await kbWith(FIRST);
      table.add(key(contender), { "KB each": (await kbWith(FURTHER) - before) / FURTHER });
    } finally {
      await running.end();
      await Promise.all(loads);
    }
  });
  return [table];
};

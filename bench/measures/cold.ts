/**
 * How long a start takes, from nothing until the last process serves.
 *
 * @module
 */
import { answeringPid } from "../ask.ts";
import { type Contender, startContender } from "../contenders/contender.ts";
import { processes, Table } from "../table.ts";
import { contenders, inTurns, type Measure } from "./measure.ts";

const COUNT = 16;
const PATIENCE_MS = 5_000;

/** Start of many processes. */
export const cold: Measure = async (plan) => {
  const table = new Table(
    "cold",
    `Start of ${COUNT} processes`,
    "From the start of the first process until every one has said that it listens and the port answers. " +
      "Each says so by a file, written when it listens; nginx's workers are taken for ready when they have their " +
      "epoll instance. `deno serve --parallel` starts threads, in one process.",
  );
  const all = contenders(plan, { count: COUNT, which: ({ speaks }) => speaks === "http" });
  const key = ({ name }: Contender) => ({ who: name, scale: processes(COUNT) });
  await inTurns({ all, rounds: plan.rounds, table, key }, async (contender) => {
    const start = performance.now();
    const running = await startContender(contender, { bench: plan.bench, count: COUNT });
    await answeringPid(running.port, PATIENCE_MS);
    const ms = performance.now() - start;
    await running.end();
    table.add(key(contender), { ms });
  });
  return [table];
};

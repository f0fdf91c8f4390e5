/**
 * How long a start takes, from nothing until the last process serves.
 *
 * @module
 */
import { answeringPid } from "../ask.ts";
import { NAMES } from "../bars.ts";
import { type Contender, deno, rowOf, startContender } from "../contenders/contender.ts";
import { Table } from "../table.ts";
import { contenders, inTurns, type Measure, references } from "./measure.ts";

/** The number of processes that a bar is for, and those of the long run. */
const COUNT = 16, COUNTS = [2, COUNT, 64];
const PATIENCE_MS = 5_000;

/** As many programs at once that do nothing: nobody who starts a process of Deno each is faster. */
const FLOOR: Contender = {
  name: NAMES.empty,
  speaks: "http",
  start(count, { site, cpu }) {
    const script = `for i in $(seq ${count}); do "$@" & done; wait`;
    site.start(["sh", "-c", script, "sh", ...deno("empty.ts")], { cpu });
  },
};

/** A contender, and with how many processes. */
interface Start {
  readonly contender: Contender;
  readonly count: number;
}

/** Start of many processes. */
export const cold: Measure = async (plan) => {
  const table = new Table(
    "cold",
    "Start of many processes",
    "From the start of the first process until every one has said that it listens and the port answers. " +
      "Each says so by a file, written when it listens; nginx's workers are taken for ready when they have their " +
      "epoll instance. `deno serve --parallel` starts threads, in one process. The empty programs listen nowhere, and " +
      "nobody watches over them: they show what the processes of Deno cost alone.",
  );
  const all = (plan.long ? COUNTS : [COUNT]).flatMap((count): Start[] => {
    const which = ({ speaks }: Contender) => speaks === "http";
    return [...contenders(plan, { count, which }), ...references(plan, FLOOR)]
      .map((contender) => ({ contender, count }));
  });
  const key = ({ contender, count }: Start) => rowOf(contender, count);
  await inTurns({ all, rounds: plan.rounds, table, key }, async (one) => {
    const { contender, count } = one;
    const start = performance.now();
    const running = await startContender(contender, { bench: plan.bench, count });
    try {
      if (contender !== FLOOR) await answeringPid(running.port, PATIENCE_MS);
      table.add(key(one), { ms: performance.now() - start });
    } finally {
      await running.end();
    }
  });
  return [table];
};

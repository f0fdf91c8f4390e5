/**
 * How often idle processes wake up.
 *
 * @module
 */
import { sleep } from "../bench.ts";
import { wakeUpsOf } from "../proc.ts";
import { Table } from "../table.ts";
import { contenders, keyOf, type Measure, roundsOf, withContenders } from "./measure.ts";

const SETTLE_MS = 2_000;
const WATCH_MS = 5_000;

/** Wake-ups a second. */
export const wakeups: Measure = async (plan) => {
  const table = new Table(
    "wakeups",
    "Wake-ups of idle processes",
    `Voluntary context switches a second of all threads of a process, over ${
      WATCH_MS / 1000
    } s without any client.`,
  );
  const all = contenders(plan, { count: 1, which: () => true });
  await withContenders(plan, { all, count: 1, table }, async (running) => {
    await sleep(SETTLE_MS);
    const watched = running.map((one) => {
      const { master, workers: [worker] } = one.pids();
      return { key: keyOf(one), processesOf: { master, worker } };
    });
    const look = () =>
      watched.map(({ processesOf: { master, worker } }) => ({
        master: master === undefined ? undefined : wakeUpsOf(master),
        worker: wakeUpsOf(worker!),
      }));
    for (let round = roundsOf(plan, 1); round > 0; round--) {
      const before = look(), start = performance.now();
      await sleep(WATCH_MS);
      const after = look(), seconds = (performance.now() - start) / 1000;
      watched.forEach(({ key }, i) => {
        const master = after[i]!.master;
        if (master !== undefined) {
          table.add(key, { "master, 1/s": (master - before[i]!.master!) / seconds });
        }
        table.add(key, { "server, 1/s": (after[i]!.worker - before[i]!.worker) / seconds });
      });
    }
  });
  return [table];
};

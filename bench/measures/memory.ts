/**
 * Memory: of a process idle and after a load, and for each process of many.
 *
 * @module
 */
import { NAMES } from "../bars.ts";
import { sleep } from "../bench.ts";
import {
  type Contender,
  deno,
  familyOf,
  rowOf,
  type Running,
  startContender,
} from "../contenders/contender.ts";
import { load } from "../load.ts";
import { memoryOf } from "../proc.ts";
import { type RowKey, Table } from "../table.ts";
import {
  clientCpu,
  contenders,
  inTurns,
  type Measure,
  type Plan,
  references,
  roundsOf,
} from "./measure.ts";

/** Until a process that has just started, or was just loaded, is idle. */
const SETTLE_MS = 1_500;
const MANY = [2, 16, 64];

const EMPTY: Contender = {
  name: NAMES.empty,
  speaks: "lines",
  counts: "one",
  start: (_count, { site, cpu }) => site.start(deno("empty.ts"), { cpu }),
};

function addMemory(
  table: Table,
  rows: readonly { readonly key: RowKey; readonly pid: number }[],
  when: string,
): void {
  for (const { key, pid } of rows) {
    const { resident, proportional } = memoryOf(pid);
    table.add(key, {
      [`${when}, resident MB`]: resident,
      [`${when}, proportional MB`]: proportional,
    });
  }
}

/** The processes whose memory is told: a single one goes by the contender's own name. */
function rowsOf({ contender, pids }: Running): { key: RowKey; pid: number }[] {
  const { master, workers } = pids();
  const [worker] = workers;
  if (master === undefined) return [{ key: rowOf(contender, 1), pid: worker! }];
  return [
    { key: rowOf(contender, 1, "master"), pid: master },
    { key: rowOf(contender, 1, "worker"), pid: worker! },
  ];
}

async function measureOne(plan: Plan, table: Table): Promise<void> {
  const all = [...references(plan, EMPTY), ...contenders(plan, { count: 1, which: () => true })];
  const key = (contender: Contender) => rowOf(contender, 1);
  const rounds = roundsOf(plan, plan.long ? plan.rounds : 1);
  await inTurns({ all, rounds, table, key }, async (contender) => {
    const running = await startContender(contender, { bench: plan.bench, count: 1 });
    try {
      const rows = rowsOf(running);
      await sleep(SETTLE_MS);
      addMemory(table, rows, "idle");
      if (contender === EMPTY) return;
      const http = contender.speaks === "http", cpu = clientCpu(plan, running);
      await load(plan.bench, { port: running.port, seconds: plan.seconds, http, cpu });
      await sleep(SETTLE_MS);
      addMemory(table, rows, "after load");
    } finally {
      await running.end();
    }
  });
}

async function measureMany(plan: Plan, table: Table): Promise<void> {
  for (const count of plan.long ? MANY : MANY.slice(0, 1)) {
    const which = ({ speaks, reload }: Contender) => speaks === "http" && reload !== undefined;
    const all = contenders(plan, { count, which });
    const key = (contender: Contender) => rowOf(contender, count);
    await inTurns({ all, rounds: roundsOf(plan, 1), table, key }, async (contender) => {
      const running = await startContender(contender, { bench: plan.bench, count });
      try {
        await sleep(SETTLE_MS);
        const { master, workers } = running.pids();
        table.add(key(contender), {
          "master, resident MB": memoryOf(master!).resident,
          "master, proportional MB": memoryOf(master!).proportional,
          "each worker, resident MB": memoryOf(...workers).resident / workers.length,
          "each worker, proportional MB": memoryOf(...workers).proportional / workers.length,
          "all, proportional MB": memoryOf(...familyOf(running)).proportional,
        });
      } finally {
        await running.end();
      }
    });
  }
}

/** Memory. */
export const memory: Measure = async (plan) => {
  const one = new Table(
    "memory",
    "Memory, one process",
    "Idle: 1.5 s after the start. After load: 1.5 s after 64 connections with as many lines of 64 bytes, or HTTP " +
      "requests, as they could exchange. Resident counts shared pages in full, proportional (PSS) divides them by the " +
      "number of processes that share them.",
  );
  const many = new Table(
    "memory-many",
    "Memory, many processes",
    "Idle. `all` is the sum over master, helpers and workers.",
  );
  await measureOne(plan, one);
  await measureMany(plan, many);
  return [one, many];
};

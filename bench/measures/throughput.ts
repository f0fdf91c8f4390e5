/**
 * How much is served in a time: HTTP requests, echoed lines, new connections.
 *
 * @module
 */
import { type Contender, familyOf, type Running } from "../contenders/contender.ts";
import { describeFailures, load, type LoadOptions, wrk } from "../load.ts";
import { cpuUsOf } from "../proc.ts";
import { rowText, Table } from "../table.ts";
import {
  clientCpu,
  contenders,
  inTurns,
  keyOf,
  type Measure,
  type Plan,
  withContenders,
} from "./measure.ts";

const COUNTS = [1, 2];
/** Until the code of a server is compiled. */
const WARM_UP_SECONDS = 0.6;

interface Throughput {
  readonly table: Table;
  readonly column: string;
  readonly which: (contender: Contender) => boolean;
  readonly load: Partial<LoadOptions>;
  /** Whether wrk is asked as well. */
  readonly wrk?: boolean;
}

async function measure(
  plan: Plan,
  { table, column, which, ...options }: Throughput,
): Promise<Table[]> {
  const { bench, rounds, seconds } = plan;
  const optionsFor = (running: Running) => ({
    ...options.load,
    port: running.port,
    http: running.contender.speaks === "http",
    cpu: clientCpu(plan, running),
  });
  for (const count of COUNTS) {
    const all = contenders(plan, { count, which });
    await withContenders(plan, { all, count, table }, async (running) => {
      for (const one of running) {
        await load(bench, { ...optionsFor(one), seconds: WARM_UP_SECONDS });
      }
      await inTurns({ all: running, rounds, table, key: keyOf }, async (one) => {
        const key = keyOf(one);
        const before = cpuUsOf(...familyOf(one));
        const result = await load(bench, { ...optionsFor(one), seconds });
        const cpuUs = cpuUsOf(...familyOf(one)) - before;
        table.add(key, {
          [column]: result.perSecond,
          "server's CPU, µs each": cpuUs / result.done,
          "client's share of a CPU": result.cpuShare,
        });
        const failed = describeFailures(result);
        if (failed !== undefined) table.note(`Failed, ${rowText(key)}: ${failed}.`);
        if (options.wrk && bench.tools.wrk !== undefined) {
          table.add(key, {
            [`${column} by wrk`]: await wrk(bench, { ...optionsFor(one), seconds }),
          });
        }
      });
    });
  }
  return [table];
}

const HOW = "A server of one process has one CPU for itself and the client another; with two " +
  "processes all share all. Where the client uses nearly a whole CPU, the server could have done more.";

/** HTTP hello over kept connections. */
export const http: Measure = (plan) =>
  measure(plan, {
    table: new Table(
      "http",
      "HTTP hello",
      `64 kept connections, one request under way on each. ${HOW}`,
    ),
    column: "requests/s",
    which: ({ speaks }) => speaks === "http",
    load: {},
    wrk: plan.long,
  });

/** Echo of short and long lines over kept connections. */
export const echo: Measure = async (plan) => {
  const tables: Table[] = [];
  for (const [size, words] of [[64, "64 bytes"], [1024, "1 KiB"]] as const) {
    tables.push(
      ...await measure(plan, {
        table: new Table(
          `echo-${size}`,
          `TCP echo, lines of ${words}`,
          `64 kept connections, one line under way on each. ${HOW}`,
        ),
        column: "lines/s",
        which: ({ speaks }) => speaks === "lines",
        load: { size },
      }),
    );
  }
  return tables;
};

/** Echo over a single connection, where each exchange waits for the one before. */
export const alone: Measure = (plan) =>
  measure(plan, {
    table: new Table(
      "echo-alone",
      "TCP echo, one connection",
      `Lines of 64 bytes on one kept connection, one after the other. ${HOW}`,
    ),
    column: "lines/s",
    which: ({ speaks }) => speaks === "lines",
    load: { connections: 1 },
  });

/** A connection for each exchange. */
export const connect: Measure = (plan) =>
  measure(plan, {
    table: new Table(
      "connect",
      "New connections",
      `Connect, one exchange (a line of 64 bytes, or one HTTP request), close; 32 at a time, from 100 ` +
        `addresses of the loopback network so that ports do not run out. ${HOW}`,
    ),
    column: "connections/s",
    which: () => true,
    load: { fresh: true, connections: 32 },
  });

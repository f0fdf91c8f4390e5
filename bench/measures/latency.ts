/**
 * How long an answer takes at a fixed rate.
 *
 * @module
 */
import type { Running } from "../contenders/contender.ts";
import { describeFailures, load } from "../load.ts";
import { rowText, Table } from "../table.ts";
import { clientCpu, contenders, inTurns, keyOf, type Measure, withContenders } from "./measure.ts";

const RATE = 10_000;
const WARM_UP_SECONDS = 1;

/** Latencies, by an open loop. */
export const latency: Measure = async (plan) => {
  const { bench, rounds, seconds } = plan;
  const table = new Table(
    "latency",
    "Latency at a fixed rate",
    `${
      RATE.toLocaleString("en-US")
    } exchanges a second over 64 kept connections on a schedule that ` +
      "does not wait for the server; each latency counts from the scheduled time. One server process has one " +
      "CPU, the client another; two processes and the client share all.",
  );
  for (const count of [1, 2]) {
    const all = contenders(plan, { count, which: () => true });
    await withContenders(plan, { all, count, table }, async (running) => {
      const optionsFor = (one: Running) => ({
        port: one.port,
        http: one.contender.speaks === "http",
        rate: RATE,
        cpu: clientCpu(plan, one),
      });
      for (const one of running) {
        await load(bench, { ...optionsFor(one), seconds: WARM_UP_SECONDS });
      }
      await inTurns({ all: running, rounds, table, key: keyOf }, async (one) => {
        const result = await load(bench, { ...optionsFor(one), seconds });
        const { p50, p99, p999 } = result.latencyUs;
        const key = keyOf(one);
        table.add(key, { "p50 µs": p50, "p99 µs": p99, "p99.9 µs": p999 });
        table.add(key, { "client's share of a CPU": result.cpuShare });
        const failed = describeFailures(result);
        if (failed !== undefined) table.note(`Failed, ${rowText(key)}: ${failed}.`);
      });
    });
  }
  return [table];
};

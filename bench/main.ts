/**
 * The benchmarks.
 *
 * `deno task bench` compares with what Deno itself offers, in about three minutes, and prints its report.
 * `deno task bench:peers` brings Node's cluster, PM2, nginx and wrk where it can, runs everything, writes
 * docs/performance.md, and brings README.md and its charts in step; run it on a machine that does nothing else.
 *
 * Everything talks over the loopback interface alone. What was started is ended and temporary folders are removed;
 * what was built or brought stays in a cache folder outside of the project.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { BARS, judge } from "./bars.ts";
import { Bench } from "./bench.ts";
import { machineFacts } from "./machine.ts";
import { big } from "./measures/big.ts";
import { cold } from "./measures/cold.ts";
import { fairness } from "./measures/fairness.ts";
import { killed } from "./measures/kill.ts";
import { latency } from "./measures/latency.ts";
import { logRate } from "./measures/log_rate.ts";
import type { Measure } from "./measures/measure.ts";
import { memory } from "./measures/memory.ts";
import { reload } from "./measures/reload.ts";
import { connect, echo, http } from "./measures/throughput.ts";
import { wakeups } from "./measures/wakeups.ts";
import { renderBars, renderReport } from "./report.ts";
import type { Table } from "./table.ts";
import { writeCharts } from "../tools/pictures/chart_files.ts";
import { writeFigures } from "../tools/readme_figures.ts";
import { defaultCache, prepareTools } from "./tools.ts";

const PAGE = new URL("../docs/performance.md", import.meta.url);

/** The measures by the names for `--only`. */
const MEASURES: Readonly<Record<string, Measure>> = {
  http,
  echo,
  connect,
  latency,
  kill: killed,
  reload,
  cold,
  memory,
  wakeups,
  fairness,
  big,
  log: logRate,
};
/** What the short run has time for. */
const QUICK = ["http", "echo", "connect", "kill", "cold", "memory"];

const HELP = `Usage: deno task bench [options], or deno task bench:peers [options]
  --only NAMES   measure only these: ${Object.keys(MEASURES).join(", ")}
  --rounds N     how many rounds (5)
  --seconds N    how long each load lasts (bench: 0.3, bench:peers: 2)
  --no-pin       let the kernel choose the CPUs of a server with one process
  --cache DIR    where to keep what is built and brought
  --output FILE  where to write the report (bench: standard output, bench:peers: docs/performance.md)
`;

function namesToMeasure(only: string | undefined, peers: boolean): string[] {
  if (only === undefined) return peers ? Object.keys(MEASURES) : QUICK;
  const names = only.split(",");
  const unknown = names.find((name) => !Object.hasOwn(MEASURES, name));
  if (unknown === undefined) return names;
  throw new TypeError(
    `Cannot measure "${unknown}": an unknown name, expected some of ${
      Object.keys(MEASURES).join()
    }`,
  );
}

function positive(name: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (value > 0) return value;
  throw new TypeError(`Cannot use --${name} "${text}", expected a number above 0`);
}

async function main(): Promise<void> {
  const args = parseArgs(Deno.args, {
    string: ["only", "rounds", "seconds", "cache", "output"],
    boolean: ["peers", "pin", "help"],
    negatable: ["pin"],
    default: { pin: true },
  });
  if (args.help) return console.log(HELP);
  const { peers } = args;
  const rounds = Math.ceil(positive("rounds", args.rounds, 5));
  const seconds = positive("seconds", args.seconds, peers ? 2 : 0.3);
  const names = namesToMeasure(args.only, peers);
  const tools = await prepareTools(args.cache ?? defaultCache(), { peers });
  const command = ["deno task", peers ? "bench:peers" : "bench"]
    .concat(Deno.args.filter((arg) => arg !== "--peers")).join(" ");
  const facts = await machineFacts(tools, command);
  facts["Rounds"] = `${rounds}, each load ${seconds} s`;
  const tables: Table[] = [];
  const notes = [...tools.missing];
  await using bench = new Bench(tools, args.pin && navigator.hardwareConcurrency > 1);
  for (const name of names) {
    const start = performance.now();
    try {
      tables.push(...await MEASURES[name]!({ bench, rounds, seconds, long: peers }));
    } catch (error) {
      console.error(error);
      notes.push(`${name}: ${(error as Error).message.split("\n")[0]}`);
    }
    console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
  const results = judge(BARS, tables);
  const report = renderReport({ facts, tables, results, notes });
  const page = args.output ?? (peers ? PAGE : undefined);
  if (page === undefined) console.log(report);
  else await Deno.writeTextFile(page, report);
  if (page === PAGE) {
    writeFigures();
    await writeCharts();
  }
  console.error(renderBars(results));
}

if (import.meta.main) await main();

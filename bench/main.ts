/**
 * The benchmarks.
 *
 * `deno task bench` compares with what Deno itself offers, in about four minutes, and prints its report.
 * `deno task bench --against REV` compares this checkout with a commit instead, both in turns.
 * `deno task bench:peers` brings Node's cluster, PM2, nginx and wrk where it can, runs everything, writes
 * docs/performance.md, and brings README.md and its charts in step; run it on a machine that does nothing else.
 *
 * Everything talks over the loopback interface alone. What was started is ended and temporary folders are removed;
 * what was built or brought stays in a cache folder outside of the project.
 *
 * @module
 */
import { measureAgainst } from "./against.ts";
import { BARS, judge } from "./bars.ts";
import { Bench } from "./bench.ts";
import { COMPARISON_ROUNDS } from "./compare.ts";
import { runFacts } from "./machine.ts";
import { describeRounds, measureAll, MEASURES, QUICK } from "./measures/all.ts";
import { type Options, parseOptions } from "./options.ts";
import { renderBars, renderReport } from "./report.ts";
import { writeCharts } from "../tools/pictures/chart_files.ts";
import { PERFORMANCE_PAGE } from "../tools/pictures/performance_page.ts";
import { writeFigures } from "../tools/readme_figures.ts";
import { runTask } from "../tools/usage_error.ts";
import { defaultCache, prepareTools } from "./tools.ts";

const PAGE = new URL(`../${PERFORMANCE_PAGE}`, import.meta.url);

const NAMES = Object.keys(MEASURES);

const HELP = `Usage: deno task bench [options], or deno task bench:peers [options]
  --against REV  compare this checkout, changes included, with the commit REV: both in turns, round by round; prints
                 the ratio of each figure, and whether it is faster or slower (bench alone)
  --only NAMES   measure only these: ${NAMES.join(", ")}
  --rounds N     how many rounds (${describeRounds(undefined)}; with --against ${COMPARISON_ROUNDS})
  --seconds N    how long each load lasts (bench: 0.3, bench:peers: 2)
  --no-pin       let the kernel choose the CPUs of a server with one process
  --cache DIR    where to keep what is built and brought
  --output FILE  where to write the report, in place of standard output
bench:peers without --only and --output writes ${PERFORMANCE_PAGE}, if it could measure everything.
`;

async function write(report: string, output: string | undefined): Promise<void> {
  if (output === undefined) console.log(report);
  else await Deno.writeTextFile(output, report);
}

/** Compares this checkout with what others offer. */
async function measureBesideOthers(options: Options): Promise<number> {
  const { peers, names, rounds, seconds, cache, output, pins } = options;
  const tools = await prepareTools(cache ?? defaultCache(), { peers });
  const facts = await runFacts(tools, options);
  await using bench = new Bench(tools, pins);
  const { tables, failed } = await measureAll({ bench, rounds, seconds, long: peers }, names);
  const results = judge(BARS, tables);
  const report = renderReport({ facts, tables, results, notes: [...tools.missing, ...failed] });
  const isWhole = failed.length === 0;
  if (options.writesPages && isWhole) {
    await Deno.writeTextFile(PAGE, report);
    writeFigures();
    await writeCharts();
  } else await write(report, output);
  console.error(renderBars(results));
  return isWhole ? 0 : 1;
}

async function main(): Promise<number> {
  const options = parseOptions(Deno.args, { all: NAMES, quick: QUICK });
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options.against === undefined) return await measureBesideOthers(options);
  const { report, isWhole } = await measureAgainst(options, options.against);
  await write(report, options.output);
  return isWhole ? 0 : 1;
}

if (import.meta.main) await runTask(main);

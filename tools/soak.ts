/**
 * Proves that a master under load loses no request, whatever is done to it, and shows what faults
 * cost.
 *
 * `deno task soak` runs every scenario with large numbers, for less than twelve minutes, and writes
 * docs/reliability.md; `deno task soak reload upgrade` runs only these, and prints what came of
 * them. `--short` uses the numbers of the tests, `--connections=N` asks each target on N connections
 * in each way, `--page=FILE` writes the page of such a run, `--list` tells the names, and `--help`
 * tells all of that. The exit code is 0 only if all have passed.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Amounts, LONG, SHORT } from "./soak/amounts.ts";
import { type FaultResult, runFault } from "./soak/fault.ts";
import { renderAttacks } from "./soak/attacks.ts";
import { renderFaultPart, renderFaultSummary, renderFigures } from "./soak/fault_page.ts";
import { type Machine, renderPage, renderReports, renderSummary } from "./soak/page.ts";
import { runScenario, type ScenarioResult } from "./soak/scenario.ts";
import { FAULTS, SCENARIOS } from "./soak/scenarios.ts";
import { writeFigures } from "./readme_figures.ts";
import { runTask, UsageError } from "./usage_error.ts";

/** Everything that has a name. */
const ALL = [...SCENARIOS, ...FAULTS];

/** The page's path from the root of the project. */
const PAGE = "docs/reliability.md";

const HELP = `Usage: deno task soak [options] [SCENARIO...]
Runs these scenarios, or all of them; all of them with large numbers write ${PAGE}.
  --list           print their names
  --short          use the numbers of the tests
  --connections=N  ask each target on N connections in each way
  --page=FILE      write the page of this run
`;

/** Writes the page the way `deno task check` wants it. */
async function writePage(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text);
  const format = new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path] });
  const { success } = await format.output();
  if (!success) throw new Error(`Cannot format "${path}"`);
}

function machine(): Machine {
  return {
    deno: Deno.version.deno,
    kernel: Deno.osRelease().split("-")[0],
    cores: navigator.hardwareConcurrency,
    arch: Deno.build.arch,
  };
}

/** The numbers that the arguments ask for. */
function amountsOf({ short, connections }: { short: boolean; connections?: string }): Amounts {
  const amounts = short ? SHORT : LONG;
  if (connections === undefined) return amounts;
  const count = Number(connections);
  if (!(Number.isSafeInteger(count) && count > 0)) {
    throw new UsageError(`Cannot use --connections=${connections}, expected a number above 0`);
  }
  return { ...amounts, load: { ...amounts.load, connections: { fresh: count, kept: count } } };
}

/** Runs those that are asked for: all, or those with these names. */
async function runAll(
  amounts: Amounts,
  isWanted: (name: string) => boolean,
): Promise<{ results: ScenarioResult[]; faultResults: FaultResult[] }> {
  const results: ScenarioResult[] = [], faultResults: FaultResult[] = [];
  for (const scenario of SCENARIOS.filter(({ name }) => isWanted(name))) {
    console.log(`\n--- ${scenario.name}: ${scenario.describe(amounts)}`);
    const result = await runScenario(scenario, amounts);
    results.push(result);
    if (result.reports.length > 0) console.log(renderReports(result.reports));
    for (const fault of result.faults) console.log(`FAULT: ${fault}`);
  }
  for (const scenario of FAULTS.filter(({ name }) => isWanted(name))) {
    console.log(`\n--- ${scenario.name}: ${scenario.describe(amounts.faults)}`);
    const result = await runFault(scenario, amounts);
    faultResults.push(result);
    if (result.figures.length > 0) console.log(renderFigures(result.figures));
    for (const fault of result.faults) console.log(`FAULT: ${fault}`);
  }
  return { results, faultResults };
}

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, {
    boolean: ["short", "list", "help"],
    string: ["page", "connections", "_"],
    unknown(arg, key) {
      if (key === undefined) return true;
      throw new UsageError(
        `Cannot use "${arg}": an unknown option, expected one that --help tells`,
      );
    },
  });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  if (flags.list) {
    for (const { name } of ALL) console.log(name);
    return 0;
  }
  const names = flags._.map(String);
  const unknown = names.filter((name) => !ALL.some((scenario) => scenario.name === name));
  if (unknown.length > 0) {
    throw new UsageError(
      `Cannot run "${unknown}": no such scenario, expected one that --list tells`,
    );
  }
  const amounts = amountsOf(flags);
  const isWanted = (name: string) => names.length === 0 || names.includes(name);
  const { results, faultResults } = await runAll(amounts, isWanted);
  if (results.length > 0) console.log(`\n${renderSummary(results)}`);
  if (faultResults.length > 0) console.log(`\n${renderFaultSummary(faultResults)}`);
  const isWhole = names.length === 0 && !flags.short;
  const page = flags.page ?? (isWhole ? PAGE : undefined);
  if (page !== undefined) {
    // Where the page is written to is nothing that it has to tell.
    const args = Deno.args.filter((arg, index) =>
      !arg.startsWith("--page") && Deno.args[index - 1] !== "--page"
    );
    const command = ["deno task soak", ...args].join(" ");
    const { load } = amounts;
    const text = renderPage(results, { machine: machine(), command, load });
    await writePage(page, `${text}\n${renderFaultPart(faultResults)}\n${renderAttacks()}`);
    if (page === PAGE) writeFigures();
  }
  return [...results, ...faultResults].every(({ faults }) => faults.length === 0) ? 0 : 1;
}

if (import.meta.main) await runTask(main);

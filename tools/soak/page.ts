/**
 * What the scenarios have shown, as tables: for the terminal, and as docs/reliability.md.
 *
 * @module
 */
import { Latencies } from "./latencies.ts";
import { SEVERAL } from "./amounts.ts";
import type { LoadSettings } from "./load_plan.ts";
import type { ScenarioResult } from "./scenario.ts";
import { lostIn, mergeReports, type Outcome, type TallyReport } from "./tally.ts";

/** What the numbers were found on. */
export interface Machine {
  /** The version of the runtime. */
  readonly deno: string;
  /** The kernel. */
  readonly kernel: string;
  /** How many cores there are. */
  readonly cores: number;
  /** The processor's architecture. */
  readonly arch: string;
}

/** How the page came about. */
export interface Made {
  readonly machine: Machine;
  /** The command that was run. */
  readonly command: string;
  readonly load: LoadSettings;
}

const COLUMNS: Readonly<Record<Outcome, string>> = {
  ok: "ok",
  refused: "refused",
  reset: "reset",
  timedOut: "timed out",
  cut: "cut",
  wrong: "wrong",
  refusedAtEnd: "refused at the end",
  queuedAtEnd: "reset in the queue at the end",
};

/** A line of a table. */
export type Row = readonly (string | number)[];

/**
 * A table whose columns stand one below the other; numbers are to the right.
 *
 * @param head The names of the columns.
 * @param rows The lines.
 */
export function table(head: readonly string[], rows: readonly Row[]): string {
  const all = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => row[column].length)));
  const isNumber = head.map((_, column) => rows.every((row) => typeof row[column] === "number"));
  const line = (cells: readonly string[]) => {
    const padded = cells.map((cell, column) =>
      isNumber[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column])
    );
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, column) =>
    isNumber[column] ? `${"-".repeat(width - 1)}:` : "-".repeat(width)
  );
  const [first, ...rest] = all;
  return [line(first), line(rule), ...rest.map(line)].join("\n");
}

function rounded(ms: number): number {
  return Number(ms.toPrecision(ms < 100 ? 2 : 3));
}

function timesOf(reports: readonly TallyReport[]): number[] {
  const all = new Latencies();
  for (const { latency } of reports) all.merge(latency);
  return [all.percentile(0.5), all.percentile(0.99), all.maxMs].map(rounded);
}

const TIMES = ["p50 ms", "p99 ms", "max ms"];

/**
 * One line for each scenario.
 *
 * @param results What came of them.
 */
export function renderSummary(results: readonly ScenarioResult[]): string {
  const sum = (reports: readonly TallyReport[], of: (report: TallyReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  return table(
    ["scenario", "what was done", "requests", "lost", ...TIMES, "seconds", "result"],
    results.map(({ scenario, amounts, reports, faults, seconds }) => [
      scenario.name,
      scenario.describe(amounts),
      sum(reports, ({ counts }) => counts.ok) + sum(reports, lostIn),
      sum(reports, lostIn),
      ...timesOf(reports),
      Math.round(seconds),
      faults.length === 0 ? "passed" : "FAILED",
    ]),
  );
}

/**
 * One line for each target, asked in one way.
 *
 * @param reports What was counted.
 */
export function renderReports(reports: readonly TallyReport[]): string {
  const outcomes = (Object.keys(COLUMNS) as Outcome[]).filter((outcome) =>
    !outcome.endsWith("AtEnd") || reports.some(({ counts }) => counts[outcome] > 0)
  );
  const head = ["target", "connections", ...outcomes.map((outcome) => COLUMNS[outcome])];
  return table(
    [...head, ...TIMES, "processes"],
    reports.map((report) => [
      report.target,
      report.kind,
      ...outcomes.map((outcome) => report.counts[outcome]),
      ...timesOf([report]),
      report.pids.length,
    ]),
  );
}

/**
 * What was not as it should be, as it is.
 *
 * @param faults The texts.
 */
export function renderProblems(faults: readonly string[]): string {
  return ["```text", ...faults, "```", ""].join("\n");
}

/**
 * The whole page.
 *
 * @param results What came of the scenarios.
 * @param made How.
 */
export function renderPage(
  results: readonly ScenarioResult[],
  { machine, command, load }: Made,
): string {
  const all = mergeReports(results.flatMap(({ reports }) => reports))
    .sort((a, b) => a.target.localeCompare(b.target));
  const lost = all.reduce((sum, report) => sum + lostIn(report), 0);
  const ok = all.reduce((sum, { counts }) => sum + counts.ok, 0);
  const failed = results.filter(({ faults }) => faults.length > 0);
  const { connections, delayMs, longDelayMs, late, timeoutMs } = load;
  return `# Reliability

A master under load, what was done to it, and what became of each request. This page is written by
\`${command}\`, as that run went: ${results.length - failed.length} of ${results.length}
scenarios passed; of ${ok + lost} requests ${lost} were lost.

Deno ${machine.deno}, Linux ${machine.kernel}, ${machine.arch}, ${machine.cores} cores, which servers
and clients share.

## How it is measured

One master runs three services: HTTP (\`serveHttp\`), and a line protocol in the aio mode and in the
coroutine mode. Each has ${SEVERAL} processes, a TCP port and a unix socket. Each of these six is
asked in two ways at the same time by a client that uses its sockets itself, so that nothing is tried
again behind its back:

- **fresh**: ${connections.fresh} that make a connection for each request, of which one in ${late.oneIn} asks
  only up to ${late.ms} ms after it was made;
- **kept**: ${connections.kept} connections that stay and always have a request under way. An HTTP
  client that is told \`Connection: close\` makes its next connection; a line protocol has no such
  word, and there a connection is made anew after 50 to 200 answers, well within the 30 s that a
  server drains. \`master-max-generations\` is 1,000: with the default of 8 the oldest servers would be
  told to end, since so many generations come in so short a time.

A request asks for its answer after 0 to ${delayMs} ms, and one in five hundred after up to
${longDelayMs / 1000} s, so that there are always some under way; answers have up to 64 KiB; half of
the HTTP requests have a body. The times below are without the delay that was asked for.

Each answer must repeat what is unique to its request, and tells the version and the process of its
server. All else is a loss: a connection that is refused, or reset; an answer that takes over
${timeoutMs / 1000} s, that is cut off by an end of file, or wrong. Nothing is tried again.

A scenario passes if no request is lost, if its own conditions hold, and if nothing is left after
it: the master has the descriptors that it had before, and after its stop there is no process, no
port, no socket file and no lock. When the master stops, connections that come too late are refused,
and one that waits in the queue of a listener that is closed is reset; these are counted apart.

## Scenarios

${renderSummary(results)}

## All requests

${renderReports(all)}

${results.map(renderScenario).join("\n")}`;
}

function renderScenario({ scenario, amounts, reports, faults }: ScenarioResult): string {
  return [
    `## ${scenario.name}`,
    `${scenario.describe(amounts)}.`,
    renderReports(reports),
    faults.length === 0 ? "Passed.\n" : `**Failed:**\n\n${renderProblems(faults)}`,
  ].join("\n\n");
}

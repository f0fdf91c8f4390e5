/**
 * The report as Markdown, from tables, ratios and facts. It measures nothing.
 *
 * @module
 */
import type { Bar, BarResult } from "./bars.ts";
import { type Comparison, LEAST_ROUNDS } from "./compare.ts";
import { summarize, type Summary } from "./stats.ts";
import type { RowKey, Table } from "./table.ts";

/** What a report is made of. */
export interface Report {
  /** What the figures depend on: name → value, such as `Deno` → `2.9.6`. */
  readonly facts: Readonly<Record<string, string>>;
  readonly tables: readonly Table[];
  readonly results: readonly BarResult[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

/**
 * A number as a reader wants it: thousands whole, small ones with three significant digits.
 *
 * @param value The number.
 */
export function formatNumber(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) {
    return Math.round(value).toLocaleString("en-US");
  }
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

/**
 * A median with its spread, as `12 (11–14)`.
 *
 * @param summary Both.
 * @param format Writes one number; default {@linkcode formatNumber}.
 */
export function formatSummary(
  { median, min, max }: Summary,
  format: (value: number) => string = formatNumber,
): string {
  const [least, most] = [format(min), format(max)];
  return least === most ? format(median) : `${format(median)} (${least}–${most})`;
}

/**
 * A Markdown table.
 *
 * @param head The headings; the first two columns are text, the rest numbers.
 * @param rows The cells.
 */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  const rule = head.map((_, index) => index < 2 ? "---" : "--:");
  return line(head) + line(rule) + rows.map(line).join("");
}

/**
 * The whole page.
 *
 * @param report What is in it.
 */
export function renderReport({ facts, tables, results, notes }: Report): string {
  const parts = [
    "# Performance\n",
    "Written by `deno task bench:peers`, not by hand. All contenders do the same work for the same " +
    "client on one machine, in turns, round after round; a figure is the median of the rounds, with the least " +
    "and the greatest in brackets. Absolute figures say something about the machine, ratios about the " +
    "contenders. docs/design/14 and 15 say what the time and the memory go to.\n",
    renderFacts(facts),
  ];
  if (results.length > 0) parts.push("## Ratios\n", renderRatios(results));
  for (const table of tables) parts.push(renderSection(table));
  if (notes.length > 0) {
    parts.push("## Left out\n", notes.map((note) => `- ${note}\n`).join(""));
  }
  return parts.join("\n");
}

function renderSection(table: Table): string {
  const columns = table.columns();
  const rows = table.rows.map(({ who, scale, samples }) => [
    who,
    scale,
    ...columns.map((column) => {
      const found = samples.get(column);
      return found === undefined ? "" : formatSummary(summarize(found));
    }),
  ]);
  const notes = table.notes.map((note) => `- ${note}\n`).join("");
  return `## ${table.title}\n\n${table.how}\n\n${renderTable(["", "", ...columns], rows)}` +
    (notes === "" ? "" : `\n${notes}`);
}

function renderRatios(results: readonly BarResult[]): string {
  return renderTable(["figure", "compared", "ratio"], results.map(comparisonCells));
}

/**
 * What came of each bar, for the developers of the project.
 *
 * @param results All of them.
 */
export function renderBars(results: readonly BarResult[]): string {
  const rows = results.map((one) => [
    ...comparisonCells(one),
    limit(one.bar),
    one.result === "fail" ? "**fail**" : one.result,
  ]);
  return renderTable(["figure", "compared", "ratio", "bar", ""], rows);
}

function comparisonCells({ bar, than, found }: BarResult): string[] {
  return [
    `${bar.table}: ${bar.column}`,
    comparison(bar, than),
    found === undefined ? "" : formatSummary(found, bar.than.length > 0 ? ratio : formatNumber),
  ];
}

const ratio = (value: number): string => value.toFixed(2);
const nameOf = ({ who, scale }: RowKey): string => `${who} (${scale})`;

function comparison(bar: Bar, than: RowKey | undefined): string {
  const other = than ?? bar.than[0];
  return other === undefined ? nameOf(bar.ours) : `${nameOf(bar.ours)} / ${nameOf(other)}`;
}

function limit({ atLeast, atMost, than }: Bar): string {
  const format = than.length > 0 ? ratio : formatNumber;
  return atLeast === undefined ? `≤ ${format(atMost!)}` : `≥ ${format(atLeast)}`;
}

/** What a comparison of two checkouts is made of. */
export interface ComparisonReport {
  readonly facts: Readonly<Record<string, string>>;
  /** The commit that this checkout was compared with, in short. */
  readonly commit: string;
  readonly all: readonly Comparison[];
  readonly notes: readonly string[];
}

/**
 * The report of a comparison of two checkouts.
 *
 * @param report What is in it.
 */
export function renderComparison({ facts, commit, all, notes }: ComparisonReport): string {
  const rows = all.map(({ table, column, key, here, there, ratio: found, words }) => [
    `${table}: ${column}`,
    nameOf(key),
    formatNumber(here),
    formatNumber(there),
    formatSummary({ median: found.median, min: found.low, max: found.high }, exactRatio),
    words,
  ]);
  const least = all.length === 0 ? 0 : Math.min(...all.map(({ ratio }) => ratio.confidence));
  const parts = [
    `# This checkout and ${commit}\n`,
    renderFacts(facts),
    `A ratio is that of this checkout to ${commit}, in the median of the rounds; each round measures both. The ` +
    `brackets hold the true ratio with a confidence of ${
      formatNumber(least * 100)
    } % or more. Where 1 is within ` +
    `them, no difference is seen; with fewer than ${LEAST_ROUNDS} rounds nothing is said.\n`,
    renderTable(["figure", "of", "this", commit, `this / ${commit}`, ""], rows),
  ];
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}\n`).join(""));
  return parts.join("\n");
}

const renderFacts = (facts: Readonly<Record<string, string>>): string =>
  Object.entries(facts).map(([name, value]) => `- ${name}: ${value}\n`).join("");

/** With three places: changes are often small. */
const exactRatio = (value: number): string =>
  value.toLocaleString("en-US", { minimumFractionDigits: 3, maximumFractionDigits: 3 });

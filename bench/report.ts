/**
 * The report as Markdown, from tables, ratios and facts. It measures nothing.
 *
 * @module
 */
import type { Bar, BarResult } from "./bars.ts";
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
    Object.entries(facts).map(([name, value]) => `- ${name}: ${value}\n`).join(""),
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

/**
 * The table of metrics in docs/metrics.md, written from the one that the metrics service uses.
 *
 * Run by `deno task docs`.
 *
 * @module
 */
import { METRICS } from "../src/metrics/exposition.ts";

/** The page, from the root. */
export const METRICS_PAGE = "docs/metrics.md";

const BEGIN = "<!-- metrics: written by deno task docs -->\n";
const END = "<!-- end of metrics -->\n";

/**
 * Puts the table where the page has room for it.
 *
 * @param page The text of the page.
 * @returns The page with the table as it is now.
 * @throws {Error} When the page has no such room.
 */
export function withMetrics(page: string): string {
  const begin = page.indexOf(BEGIN), end = page.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new Error(`Cannot write the metrics into ${METRICS_PAGE}: no room, expected ${BEGIN}`);
  }
  return `${page.slice(0, begin + BEGIN.length)}\n${renderMetrics()}\n${page.slice(end)}`;
}

/** The table, with columns as wide as the formatter makes them. */
function renderMetrics(): string {
  const rows = [
    ["metric", "type", "labels", "meaning"],
    ...METRICS.map(({ name, type, labels, help }) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(", "),
      help,
    ]),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |\n`;
  const [head, ...body] = rows;
  return [head, widths.map((width) => "-".repeat(width)), ...body].map(line).join("");
}

if (import.meta.main) {
  Deno.writeTextFileSync(METRICS_PAGE, withMetrics(Deno.readTextFileSync(METRICS_PAGE)));
}

/**
 * The table of metrics in docs/metrics.md, written from the one that the metrics service uses.
 *
 * Run by `deno task docs`.
 *
 * @module
 */
import { METRICS } from "../src/metrics/exposition.ts";
import { tableText, withPart } from "./page_part.ts";

/** The page, from the root. */
export const METRICS_PAGE = "docs/metrics.md";

/**
 * Puts the table where the page has room for it.
 *
 * @param page The text of the page.
 * @returns The page with the table as it is now.
 * @throws {Error} When the page has no such room.
 */
export function withMetrics(page: string): string {
  return withPart({ page: METRICS_PAGE, name: "metrics" }, page, renderMetrics());
}

function renderMetrics(): string {
  return tableText([
    ["metric", "type", "labels", "meaning"],
    ...METRICS.map(({ name, type, labels, help }) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(", "),
      help,
    ]),
  ]);
}

if (import.meta.main) {
  Deno.writeTextFileSync(METRICS_PAGE, withMetrics(Deno.readTextFileSync(METRICS_PAGE)));
}

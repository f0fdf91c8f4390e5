/**
 * The measured figures in README.md, written from docs/performance.md.
 *
 * Run by `deno task docs`, and by the benchmarks when they have written that page.
 *
 * @module
 */
import { NAMES } from "../bench/bars.ts";
import { formatNumber } from "../bench/report.ts";
import { processes } from "../bench/table.ts";
import { tableText, withPart } from "./page_part.ts";
import {
  type Figure,
  type Figures,
  figuresOf,
  PERFORMANCE_PAGE,
} from "./pictures/performance_page.ts";

/** The page with the figures, from the root. */
export const README = "README.md";

const TWO = processes(2), ONE = processes(1);

/** A column: the contender, or none where no run has one. */
interface Column {
  readonly title: string;
  readonly who?: string;
}

/** A row: what a contender's cell has. */
interface Row {
  readonly title: string;
  readonly cell: (who: string, figures: Figures) => string | undefined;
}

const COLUMNS: readonly Column[] = [
  { title: "@zc/master", who: NAMES.masterHttp },
  { title: "`deno serve --parallel`", who: NAMES.denoParallel },
  { title: "Node cluster", who: NAMES.nodeCluster },
  { title: "PM2 cluster", who: NAMES.pm2 },
  { title: "nginx", who: NAMES.nginx },
  { title: "LIB-ZC" },
];

const written = (found: Figure | undefined, unit = "") =>
  found && `${formatNumber(found.median)}${unit}`;

const ROWS: readonly Row[] = [
  {
    title: "requests/s on kept connections",
    cell: (who, find) =>
      written(find({ section: "HTTP hello", column: "requests/s", who, scale: TWO })),
  },
  {
    title: "new connections/s",
    cell: (who, find) =>
      written(find({ section: "New connections", column: "connections/s", who, scale: TWO })),
  },
  {
    title: "failed over 10 reloads under load",
    cell(who, find) {
      if (who === NAMES.denoParallel) return "no reload";
      const of = (column: string) =>
        find({ section: "Requests that failed", column, who, scale: TWO })?.median;
      const fresh = of("new connections failed"), kept = of("kept-alive requests failed");
      const answered = of("requests answered");
      if (fresh === undefined || kept === undefined || answered === undefined) return undefined;
      const failed = fresh + kept;
      return `${formatNumber(failed)} of ${formatNumber(failed + answered)}`;
    },
  },
  {
    title: "next answer after a kill of the only process",
    cell(who, find) {
      if (who === NAMES.denoParallel) return "none: it has ended";
      const of = (who: string) =>
        written(find({ section: "Next answer", column: "ms", who, scale: ONE }), " ms");
      const standby = who === NAMES.masterHttp ? of(NAMES.masterStandby) : undefined;
      return standby === undefined ? of(who) : `${of(who)}; with a standby ${standby}`;
    },
  },
  {
    title: "start of 16 processes",
    cell(who, find) {
      const found = find({ section: "Start of many", column: "ms", who, scale: processes(16) });
      return written(found, who === NAMES.denoParallel ? " ms (threads)" : " ms");
    },
  },
  {
    title: "memory of an idle process",
    cell: (who, find) =>
      written(
        find({
          section: "Memory, one process",
          column: "idle, resident MB",
          who: `${who}: worker`,
          scale: ONE,
        }),
        " MB",
      ),
  },
];

/**
 * Puts the figures where README.md has room for them.
 *
 * @param page The text of README.md.
 * @param performance The text of docs/performance.md.
 * @returns README.md with the figures of that page.
 * @throws {Error} When README.md has no such room.
 */
export function withFigures(page: string, performance: string): string {
  const figures = figuresOf(performance);
  const text = tableText([
    ["2 processes", ...COLUMNS.map(({ title }) => title)],
    ...ROWS.map(({ title, cell }) => [
      title,
      ...COLUMNS.map(({ who }) => (who && cell(who, figures)) ?? "not measured"),
    ]),
  ]);
  return withPart({ page: README, name: "figures" }, page, text);
}

/** Writes the figures into README.md. */
export function writeFigures(): void {
  const performance = Deno.readTextFileSync(PERFORMANCE_PAGE);
  Deno.writeTextFileSync(README, withFigures(Deno.readTextFileSync(README), performance));
}

if (import.meta.main) writeFigures();

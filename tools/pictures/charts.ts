/**
 * The charts of README.md, as specifications for Vega-Lite. They draw nothing themselves.
 *
 * @module
 */
import { NAMES } from "../../bench/bars.ts";
import { processes } from "../../bench/table.ts";
import type { Figures } from "./performance_page.ts";
import type { ContenderTimeline, Timeline } from "./timeline.ts";
import { COLOURS } from "./themes.ts";

/** A specification of Vega-Lite. */
export type Spec = Readonly<Record<string, unknown>>;

const OURS = COLOURS.blue.light, OTHERS = COLOURS.grey.light, FAILED = COLOURS.red.light;
const FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";
const AXIS = { labelColor: COLOURS.dim.light, gridColor: COLOURS.grid.light, domain: false };

const CONFIG = {
  font: FONT,
  view: { stroke: null },
  axis: { ...AXIS, ticks: false, labelFontSize: 13, labelLimit: 0 },
  title: { color: COLOURS.ink.light, anchor: "start", fontSize: 14, fontWeight: "bold" },
  header: { labelColor: COLOURS.ink.light, labelFontSize: 13 },
  legend: { labelColor: COLOURS.ink.light, labelFontSize: 13 },
};
const COMMON = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", config: CONFIG };

const NAME_AXIS = { title: null, labelColor: COLOURS.ink.light };
const NUMBER_AXIS = { title: null, format: ",d", tickCount: 5 };

/** What the chart of the benchmarks has. */
const BARS = [
  {
    title: "HTTP, requests a second on kept connections",
    section: "HTTP hello",
    column: "requests/s",
  },
  { title: "HTTP, new connections a second", section: "New connections", column: "connections/s" },
] as const;

/** Who is in it, with two processes each. */
const CONTENDERS = [
  NAMES.masterHttp,
  NAMES.denoParallel,
  NAMES.nginx,
  NAMES.libzcHttp,
  NAMES.nodeCluster,
  NAMES.denoCluster,
  NAMES.pm2,
];

/** The name of a contender in a chart. */
export const shortName = (who: string): string => who.replace(/, HTTP$/, "");

/** Bars for each contender, with the least and the greatest figure of the rounds as a line. */
export function benchmarkChart(figures: Figures): Spec {
  const charts = BARS.map(({ title, ...table }) => {
    const values = CONTENDERS.flatMap((who) => {
      const found = figures({ ...table, who, scale: processes(2) });
      const text = found && Math.round(found.median).toLocaleString("en-US");
      return found === undefined ? [] : [{ ...found, who: shortName(who), text }];
    });
    const isOurs = { test: `datum.who === '${shortName(NAMES.masterHttp)}'` };
    return {
      title,
      width: 560,
      height: { step: 30 },
      data: { values },
      encoding: { y: { field: "who", type: "nominal", sort: null, axis: NAME_AXIS } },
      layer: [
        {
          mark: { type: "bar", height: 20, cornerRadiusEnd: 3 },
          encoding: {
            x: { field: "median", type: "quantitative", axis: NUMBER_AXIS },
            color: { condition: { ...isOurs, value: OURS }, value: OTHERS },
          },
        },
        {
          mark: { type: "rule", color: COLOURS.dim.light },
          encoding: { x: { field: "min", type: "quantitative" }, x2: { field: "max" } },
        },
        {
          mark: { type: "text", align: "left", dx: 6, color: COLOURS.ink.light, fontSize: 13 },
          encoding: { x: { field: "max", type: "quantitative" }, text: { field: "text" } },
        },
      ],
    };
  });
  return { ...COMMON, vconcat: charts, spacing: 24 };
}

/** Steps that follow each other with the same result. */
interface Stretch {
  readonly from: number;
  to: number;
  readonly result: string;
  readonly low: number;
  readonly high: number;
}

/** The steps of a contender, in seconds and requests a second: the failed ones stand on the answered ones. */
function stretchesOf({ answered, failed }: ContenderTimeline, stepMs: number): Stretch[] {
  const done: Stretch[] = [], last = new Map<string, Stretch>();
  const perSecond = 1000 / stepMs;
  for (const [index, count] of answered.entries()) {
    const from = index * stepMs / 1000, to = from + stepMs / 1000, low = count * perSecond;
    for (
      const now of [
        { from, to, result: "answered", low: 0, high: low },
        { from, to, result: "failed", low, high: low + failed[index] * perSecond },
      ]
    ) {
      const before = last.get(now.result);
      if (before?.low === now.low && before.high === now.high) before.to = to;
      else {
        last.set(now.result, now);
        done.push(now);
      }
    }
  }
  return done.filter(({ low, high }) => high > low);
}

/** How many of a contender's requests failed, in words. */
function lossesOf({ answered, failed }: ContenderTimeline): string {
  const [lost, rest] = [failed, answered].map((all) => all.reduce((sum, count) => sum + count, 0));
  const [some, all] = [lost, lost + rest].map((count) => count.toLocaleString("en-US"));
  return `${some} of ${all} requests failed`;
}

/** Requests over time for each contender: those that were answered, and those that failed. */
export function reloadChart({ facts, stepMs, contenders }: Timeline): Spec {
  const [{ answered, failed }] = contenders;
  const rate = (answered[0] + failed[0]) * 1000 / stepMs, load = facts["Load before the run"];
  const title = {
    text: `${rate} new connections a second; dashed: a reload or restart`,
    subtitle: `${facts["Machine"]}; load before the run: ${load}`,
    subtitleColor: COLOURS.dim.light,
    offset: 12,
  };
  const charts = contenders.map((one, index) => {
    const { name, how, actionsMs, answered } = one;
    const isLast = index === contenders.length - 1;
    const seconds = { domain: [0, answered.length * stepMs / 1000], nice: false };
    const secondAxis = {
      title: null,
      labels: isLast,
      labelExpr: "datum.value + ' s'",
      grid: false,
    };
    const legend = { title: null, orient: "bottom", direction: "horizontal", symbolType: "square" };
    return {
      title: `${name}, ${how}: ${lossesOf(one)}`,
      width: 680,
      height: 60,
      layer: [
        {
          data: { values: stretchesOf(one, stepMs) },
          mark: "rect",
          encoding: {
            x: { field: "from", type: "quantitative", axis: secondAxis, scale: seconds },
            x2: { field: "to" },
            y: { field: "low", type: "quantitative", axis: { title: null, tickCount: 2 } },
            y2: { field: "high" },
            color: {
              field: "result",
              scale: { domain: ["answered", "failed"], range: [OURS, FAILED] },
              legend: isLast ? legend : null,
            },
          },
        },
        {
          data: { values: actionsMs.map((atMs) => ({ at: atMs / 1000 })) },
          mark: { type: "rule", color: COLOURS.ink.light, strokeDash: [4, 3] },
          encoding: { x: { field: "at", type: "quantitative" } },
        },
      ],
    };
  });
  // Only the last one has a legend.
  const resolve = { scale: { color: "independent" }, legend: { color: "independent" } };
  return { ...COMMON, title, vconcat: charts, spacing: 14, resolve };
}

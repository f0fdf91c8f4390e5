/**
 * The bars: how the project has to compare, and whether it does.
 *
 * @module
 */
import { median, ratios, type Summary } from "./stats.ts";
import { processes, type RowKey, type Table } from "./table.ts";

/** One comparison that has to come out well. */
export interface Bar {
  /** The id of the table. */
  readonly table: string;
  /** Which figure. */
  readonly column: string;
  /** Whose figure is judged. */
  readonly ours: RowKey;
  /** What it is divided by, the best one that was measured; none: the figure itself is judged. */
  readonly than: readonly RowKey[];
  /** The least that passes. */
  readonly atLeast?: number;
  /** The most that passes. */
  readonly atMost?: number;
  /** With fewer rounds it is not judged, as the rounds differ by more than what is asked; default 1. */
  readonly rounds?: number;
}

/** What came of a bar. */
export interface BarResult {
  readonly bar: Bar;
  /** The row that it was compared with. */
  readonly than?: RowKey;
  /** The ratio, or the figure itself; undefined: not measured. */
  readonly found?: Summary;
  readonly result: "pass" | "fail" | "too few rounds" | "not measured";
}

/** The names of contenders in tables, by which the bars find them. */
export const NAMES = {
  masterHttp: "@zc/master, HTTP",
  masterStandby: "@zc/master, HTTP, a standby",
  masterCoroutine: "@zc/master, coroutine",
  masterAio: "@zc/master, aio",
  denoServe: "Deno.serve",
  denoParallel: "deno serve --parallel",
  denoListen: "Deno.listen by hand",
  denoPipe: "Deno.listen, pipeTo",
  denoNet: "node:net in Deno",
  denoHttp: "node:http in Deno",
  denoCluster: "node:cluster in Deno",
  denoClusterLines: "node:cluster in Deno, lines",
  nodeHttp: "Node",
  nodeNet: "Node, lines",
  nodeCluster: "Node cluster",
  nodeClusterLines: "Node cluster, lines",
  nodeClusterShared: "Node cluster, lines, SCHED_NONE",
  pm2: "PM2 cluster",
  nginx: "nginx",
  libzcHttp: "LIB-ZC, HTTP",
  libzcAio: "LIB-ZC, aio",
  empty: "an empty Deno program",
} as const;

const one = (who: string): RowKey => ({ who, scale: processes(1) });
const two = (who: string): RowKey => ({ who, scale: processes(2) });

/** The aio mode, whose connections are descriptors, beside the runtime's own. */
function aioBars(): Bar[] {
  const hand = [one(NAMES.denoListen)], ours = one(NAMES.masterAio);
  const latency = { table: "latency", ours, than: hand };
  return [
    { table: "echo-64", column: "lines/s", ours, than: hand, atLeast: 1.35 },
    { table: "echo-1024", column: "lines/s", ours, than: hand, atLeast: 1.25 },
    { table: "echo-64", column: "lines/s", ours, than: [one(NAMES.libzcAio)], atLeast: 1 },
    { table: "echo-alone", column: "lines/s", ours, than: hand, atLeast: 1 },
    { table: "connect", column: "connections/s", ours, than: hand, atLeast: 1.6 },
    { ...latency, column: "p50 µs", atMost: 1.2 },
    { ...latency, column: "p99 µs", atMost: 1 },
    { table: "held", column: "KB each", ours, than: [], atMost: 1.5 },
  ];
}

function lineBars(): Bar[] {
  const bars: Bar[] = [];
  const coroutine = one(NAMES.masterCoroutine);
  for (const table of ["echo-64", "echo-1024"]) {
    const common = { table, column: "lines/s" };
    bars.push({ ...common, ours: coroutine, than: [one(NAMES.denoListen)], atLeast: 0.97 });
    for (const ours of [coroutine, one(NAMES.masterAio)]) {
      bars.push({ ...common, ours, than: [one(NAMES.denoNet)], atLeast: 1.15 });
    }
  }
  const common = { table: "connect", column: "connections/s" };
  bars.push({ ...common, ours: coroutine, than: [one(NAMES.denoListen)], atLeast: 0.95 });
  for (const who of [NAMES.masterCoroutine, NAMES.masterAio]) {
    const node = [two(NAMES.nodeClusterLines), two(NAMES.nodeClusterShared)];
    bars.push({ ...common, ours: two(who), than: node, atLeast: 1 });
  }
  return bars;
}

function memoryBars(): Bar[] {
  return [NAMES.masterCoroutine, NAMES.masterAio].flatMap((who): Bar[] => {
    const ours = { who: `${who}: worker`, scale: processes(1) };
    const common = { table: "memory", ours };
    return [
      { ...common, column: "idle, resident MB", than: [one(NAMES.empty)], atMost: 1.2 },
      { ...common, column: "after load, resident MB", than: [one(NAMES.denoListen)], atMost: 0.5 },
    ];
  });
}

const HTTP = { table: "http", column: "requests/s" };

/** All bars. */
export const BARS: readonly Bar[] = [
  {
    ...HTTP,
    ours: two(NAMES.masterHttp),
    than: [two(NAMES.denoParallel)],
    atLeast: 1,
    rounds: 9,
  },
  { ...HTTP, ours: two(NAMES.masterHttp), than: [two(NAMES.nodeCluster)], atLeast: 1.25 },
  { ...HTTP, ours: one(NAMES.masterHttp), than: [one(NAMES.denoServe)], atLeast: 0.97 },
  { ...HTTP, ours: one(NAMES.masterHttp), than: [one(NAMES.nodeHttp)], atLeast: 1.4 },
  ...lineBars(),
  ...aioBars(),
  {
    table: "cold",
    column: "ms",
    ours: { who: NAMES.masterHttp, scale: processes(16) },
    than: [{ who: NAMES.denoCluster, scale: processes(16) }],
    atMost: 0.5,
  },
  ...memoryBars(),
  {
    table: "reload",
    column: "new connections failed",
    ours: two(NAMES.masterHttp),
    than: [],
    atMost: 0,
  },
  {
    table: "reload",
    column: "kept-alive requests failed",
    ours: two(NAMES.masterHttp),
    than: [],
    atMost: 0,
  },
];

/**
 * Judges bars by what was measured.
 *
 * @param bars Which ones.
 * @param tables What was measured.
 * @returns A result for each bar whose table is there.
 */
export function judge(bars: readonly Bar[], tables: readonly Table[]): BarResult[] {
  return bars.flatMap((bar) => {
    const table = tables.find(({ id }) => id === bar.table);
    return table === undefined ? [] : [judgeOne(bar, table)];
  });
}

function judgeOne(bar: Bar, table: Table): BarResult {
  const samplesOf = (key: RowKey) => table.find(key)?.samples.get(bar.column);
  const ours = samplesOf(bar.ours);
  if (ours === undefined) return { bar, result: "not measured" };
  if (bar.than.length === 0) {
    // One failure in any round is one too many.
    const worst = bar.atMost === undefined ? Math.min(...ours) : Math.max(...ours);
    return resultOf(bar, { median: worst, min: Math.min(...ours), max: Math.max(...ours) });
  }
  const sign = bar.atMost === undefined ? 1 : -1;
  const [best] = bar.than
    .flatMap((key) => {
      const samples = samplesOf(key);
      return samples === undefined ? [] : [{ key, samples }];
    })
    .sort((a, b) => sign * (median(b.samples) - median(a.samples)));
  if (best === undefined) return { bar, result: "not measured" };
  const compared = { ...resultOf(bar, ratios(ours, best.samples)), than: best.key };
  const isEnough = Math.min(ours.length, best.samples.length) >= (bar.rounds ?? 1);
  return isEnough ? compared : { ...compared, result: "too few rounds" };
}

function resultOf(bar: Bar, found: Summary): BarResult {
  const { atLeast = -Infinity, atMost = Infinity } = bar;
  const passes = found.median >= atLeast && found.median <= atMost;
  return { bar, found, result: passes ? "pass" : "fail" };
}

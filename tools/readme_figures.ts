/**
 * The measured figures in README.md, its translation and docs/comparison.md, written from docs/performance.md and
 * docs/reliability.md.
 *
 * Run by `deno task docs`, and by the benchmarks and the soak test when they have written those pages.
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

/** What a page says around the figures. */
interface Words {
  readonly head: string;
  readonly requests: string;
  readonly connections: string;
  readonly failed: string;
  readonly kill: string;
  readonly start: string;
  readonly memory: string;
  readonly notMeasured: string;
  readonly noReload: string;
  readonly ended: string;
  readonly of: (failed: string, all: string) => string;
  readonly withStandby: (plain: string, standby: string) => string;
  readonly threads: (time: string) => string;
  readonly ms: string;
}

/** The pages with the table of figures, from the root. */
const TABLES: Readonly<Record<string, Words>> = {
  "README.md": {
    head: "2 processes",
    requests: "requests/s on kept connections",
    connections: "new connections/s",
    failed: "failed over 10 reloads under load",
    kill: "next answer after a kill of the only process",
    start: "start of 16 processes",
    memory: "memory of an idle process",
    notMeasured: "not measured",
    noReload: "no reload",
    ended: "none: it has ended",
    of: (failed, all) => `${failed} of ${all}`,
    withStandby: (plain, standby) => `${plain}; with a standby ${standby}`,
    threads: (time) => `${time} (threads)`,
    ms: "ms",
  },
  "README.zh-CN.md": {
    head: "2 个进程",
    requests: "每秒请求数，保持连接",
    connections: "每秒新建连接数",
    failed: "负载下重新加载 10 次，失败数",
    kill: "唯一的进程被杀死后，到下一次响应",
    start: "启动 16 个进程",
    memory: "一个空闲进程的内存",
    notMeasured: "未测量",
    noReload: "没有重新加载",
    ended: "没有：它已经结束",
    of: (failed, all) => `${all} 个中 ${failed} 个`,
    withStandby: (plain, standby) => `${plain}；有备用进程时 ${standby}`,
    threads: (time) => `${time}（线程）`,
    ms: "毫秒",
  },
};

const TWO = processes(2), ONE = processes(1);

/** The columns, and whose figures are in them. */
const COLUMNS: Readonly<Record<string, string>> = {
  "@zc/master": NAMES.masterHttp,
  "`deno serve --parallel`": NAMES.denoParallel,
  "Node cluster": NAMES.nodeCluster,
  "PM2 cluster": NAMES.pm2,
  "nginx": NAMES.nginx,
  "LIB-ZC": NAMES.libzcHttp,
};

/** What a contender's cell of a row has; undefined: nothing was measured. */
type Cell = (who: string, find: Figures, words: Words) => string | undefined;

const written = (found: Figure | undefined, unit = "") =>
  found && `${formatNumber(found.median)}${unit}`;

const requests: Cell = (who, find) =>
  written(find({ section: "HTTP hello", column: "requests/s", who, scale: TWO }));

const connections: Cell = (who, find) =>
  written(find({ section: "New connections", column: "connections/s", who, scale: TWO }));

const failed: Cell = (who, find, words) => {
  if (who === NAMES.denoParallel) return words.noReload;
  const of = (column: string) =>
    find({ section: "Requests that failed", column, who, scale: TWO })?.median;
  const fresh = of("new connections failed"), kept = of("kept-alive requests failed");
  const answered = of("requests answered");
  if (fresh === undefined || kept === undefined || answered === undefined) return undefined;
  return words.of(formatNumber(fresh + kept), formatNumber(fresh + kept + answered));
};

const kill: Cell = (who, find, words) => {
  if (who === NAMES.denoParallel) return words.ended;
  const of = (who: string) =>
    written(find({ section: "Next answer", column: "ms", who, scale: ONE }), ` ${words.ms}`);
  const plain = of(who), standby = who === NAMES.masterHttp ? of(NAMES.masterStandby) : undefined;
  return plain && standby ? words.withStandby(plain, standby) : plain;
};

const start: Cell = (who, find, words) => {
  const found = find({ section: "Start of many", column: "ms", who, scale: processes(16) });
  const time = written(found, ` ${words.ms}`);
  return time && who === NAMES.denoParallel ? words.threads(time) : time;
};

const memory: Cell = (who, find) => {
  const key = { section: "Memory, one process", column: "idle, resident MB", scale: ONE };
  return written(find({ ...key, who: `${who}: worker` }), " MB");
};

/** What the sentences of the pages tell. */
interface Facts {
  /** The requests of the soak test, and how many of them were lost. */
  readonly requests: string;
  readonly lost: string;
  /** The megabytes of an idle process. */
  readonly worker: string;
  readonly master: string;
  readonly nginx: string;
}

/** Where the sentences of each page tell them; a pattern matches the number alone. */
const SENTENCES: Readonly<Record<string, readonly (readonly [RegExp, keyof Facts])[]>> = {
  "README.md": [
    [/[\d,]+(?= of [\d,]+ requests\])/, "lost"],
    [/(?<=\[[\d,]+ of )[\d,]+(?= requests\])/, "requests"],
    [/(?<=of\ssome\s)\d+(?= MB)/, "worker"],
  ],
  "README.zh-CN.md": [
    [/(?<=\[)[\d,]+(?= 个请求丢失)/, "requests"],
    [/(?<=个请求丢失 )[\d,]+(?= 个\])/, "lost"],
    [/(?<=约占\s)\d+(?= MB)/, "worker"],
  ],
  "docs/comparison.md": [
    [/(?<=\s)[\d,]+(?= of [\d,]+ requests in)/, "lost"],
    [/(?<= of )[\d,]+(?= requests in)/, "requests"],
    [/(?<=\[)\d+(?= MB instead of)/, "nginx"],
    [/(?<=MB instead of )\d+(?=\])/, "worker"],
    [/(?<=master of about\s)\d+(?= MB)/, "master"],
  ],
};

/** The pages with figures, from the root. */
export const FIGURE_PAGES: readonly string[] = Object.keys(SENTENCES);

/** The page of the soak test, from the root. */
const RELIABILITY_PAGE = "docs/reliability.md";

/** The pages that the runs have written. */
interface Sources {
  readonly performance: string;
  readonly reliability: string;
}

/** Reads what the runs have written. */
export function figureSources(): Sources {
  return {
    performance: Deno.readTextFileSync(PERFORMANCE_PAGE),
    reliability: Deno.readTextFileSync(RELIABILITY_PAGE),
  };
}

function factsOf({ reliability }: Sources, find: Figures): Facts {
  const [, requests, lost] = /of (\d+) requests (\d+) were\s+lost/.exec(reliability) ?? [];
  const megabytes = (who: string) => {
    const key = { section: "Memory, one process", column: "idle, resident MB", scale: ONE };
    return formatNumber(Math.round(find({ ...key, who })?.median ?? NaN));
  };
  return {
    requests: formatNumber(Number(requests)),
    lost: formatNumber(Number(lost)),
    worker: megabytes(`${NAMES.masterHttp}: worker`),
    master: megabytes(`${NAMES.masterHttp}: master`),
    nginx: megabytes(`${NAMES.nginx}: worker`),
  };
}

/** The rows, by their titles among the words. */
const ROWS = { requests, connections, failed, kill, start, memory } as const;

/**
 * Puts the figures where a page has room for them.
 *
 * @param path Which page, from the root.
 * @param page Its text.
 * @param sources Where the figures are.
 * @returns The page with these figures.
 * @throws {Error} When the page has no such room, or a source no such figure.
 */
export function withFigures(path: string, page: string, sources: Sources): string {
  const find = figuresOf(sources.performance), facts = factsOf(sources, find);
  const told = SENTENCES[path].reduce((text, [pattern, fact]) => {
    if (pattern.test(text) && facts[fact] !== "NaN") return text.replace(pattern, facts[fact]);
    throw new Error(`Cannot write the figure "${fact}" into ${path}, expected ${pattern}`);
  }, page);
  return path in TABLES ? withTable(path, told, find) : told;
}

function withTable(path: string, page: string, find: Figures): string {
  const words = TABLES[path];
  const text = tableText([
    [words.head, ...Object.keys(COLUMNS)],
    ...Object.entries(ROWS).map(([title, cell]) => [
      words[title as keyof typeof ROWS],
      ...Object.values(COLUMNS).map((who) => cell(who, find, words) ?? words.notMeasured),
    ]),
  ]);
  return withPart({ page: path, name: "figures" }, page, text);
}

/** Writes the figures into the pages. */
export function writeFigures(): void {
  const sources = figureSources();
  for (const path of FIGURE_PAGES) {
    Deno.writeTextFileSync(path, withFigures(path, Deno.readTextFileSync(path), sources));
  }
}

if (import.meta.main) writeFigures();

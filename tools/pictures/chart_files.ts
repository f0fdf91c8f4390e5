/**
 * The files of the charts, each drawn from figures that a run of the benchmarks has written.
 *
 * @module
 */
import { benchmarkChart, reloadChart, type Spec } from "./charts.ts";
import { figuresOf, PERFORMANCE_PAGE } from "./performance_page.ts";
import { COLOURS, darkStyle, escapeXml } from "./themes.ts";
import { TIMELINE } from "./timeline.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const PROGRAM = new URL("draw_charts.ts", import.meta.url).pathname;
const LOCK = new URL("charts.lock", import.meta.url).pathname;
const MARGIN = 16;

/** A chart, by the path of its file from the root. */
interface Chart {
  readonly title: string;
  readonly spec: () => Spec;
}

const read = (path: string): string => Deno.readTextFileSync(`${ROOT}${path}`);

const CHARTS: Readonly<Record<string, Chart>> = {
  "docs/pictures/benchmark.svg": {
    title: "Requests and new connections a second of @zc/master and others",
    spec: () => benchmarkChart(figuresOf(read(PERFORMANCE_PAGE))),
  },
  "docs/pictures/reload.svg": {
    title: "Requests that were answered and that failed while @zc/master and others were reloaded",
    spec: () => reloadChart(JSON.parse(read(TIMELINE))),
  },
};

/** Has Vega draw, in a process of its own. */
async function draw(specs: readonly Spec[]): Promise<string[]> {
  const flags = ["--no-config", "--no-prompt", "--no-check", "--frozen", `--lock=${LOCK}`];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...flags, PROGRAM],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.output();
  await new Response(JSON.stringify(specs)).body!.pipeTo(child.stdin);
  const { success, stdout } = await output;
  if (!success) throw new Error("Cannot draw the charts, see above");
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Gives a chart a ground of its own, so that it can be read on every page, and the colours of a dark one. */
function framed(svg: string, title: string): string {
  const [, inside] = /^<svg[^>]*>([^]*)<\/svg>$/.exec(
    svg.replace(/<rect[^>]*fill="white"\/>/, ""),
  )!;
  const [, width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg)!.map(Number);
  const [w, h] = [Math.ceil(width) + 2 * MARGIN, Math.ceil(height) + 2 * MARGIN];
  const { ground, border } = COLOURS;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" ` +
    `viewBox="0 0 ${w} ${h}" role="img">\n<title>${escapeXml(title)}</title>\n${darkStyle()}\n` +
    `<rect x="0.5" y="0.5" width="${w - 1}" height="${h - 1}" rx="8" fill="${ground.light}" ` +
    `stroke="${border.light}"/>\n` +
    `<g transform="translate(${MARGIN},${MARGIN})">${inside}</g>\n</svg>\n`;
}

/**
 * Draws the charts from the figures as they are now.
 *
 * @returns The pictures, by the paths of their files from the root.
 */
export async function charts(): Promise<Record<string, string>> {
  const pictures = await draw(Object.values(CHARTS).map(({ spec }) => spec()));
  return Object.fromEntries(
    Object.entries(CHARTS).map((
      [path, { title }],
      index,
    ) => [path, framed(pictures[index], title)]),
  );
}

/**
 * Draws the charts and writes their files.
 *
 * @returns The paths.
 */
export async function writeCharts(): Promise<string[]> {
  const pictures = await charts();
  for (const [path, picture] of Object.entries(pictures)) {
    Deno.writeTextFileSync(`${ROOT}${path}`, picture);
  }
  return Object.keys(pictures);
}

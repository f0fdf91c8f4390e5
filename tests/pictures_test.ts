import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { charts } from "../tools/pictures/chart_files.ts";
import { figuresOf } from "../tools/pictures/performance_page.ts";
import { drawTerminal } from "../tools/pictures/terminal.ts";
import { FIGURE_PAGES, figureSources, withFigures } from "../tools/readme_figures.ts";

const read = (path: string): string =>
  Deno.readTextFileSync(new URL(`../${path}`, import.meta.url));

Deno.test("the charts of README.md show the figures of the last runs", async () => {
  for (const [path, picture] of Object.entries(await charts())) {
    assertEquals(read(path), picture, `${path}: run deno task pictures`);
  }
});

Deno.test("README.md, its translation and docs/comparison.md have the figures of the last runs", () => {
  const sources = figureSources();
  for (const path of FIGURE_PAGES) {
    const page = read(path);
    assertEquals(page, withFigures(path, page, sources), "run deno task docs");
  }
});

Deno.test("withFigures() writes what the runs have told, and refuses a page or a run without it", () => {
  const page = read("docs/comparison.md"), sources = figureSources();
  const written = (reliability: string) =>
    withFigures("docs/comparison.md", page, { ...sources, reliability });
  assertStringIncludes(
    written("of 1234567 requests 2 were lost"),
    "2 of 1,234,567 requests in",
  );
  assertThrows(() => written("nothing"), Error, 'Cannot write the figure "lost"');
  const empty = () => withFigures("README.md", "nothing", sources);
  assertThrows(empty, Error, "into README.md");
});

Deno.test("figuresOf() reads medians with and without their range, and knows what is missing", () => {
  const find = figuresOf(
    "# A\n\n## Start of many\n\nHow.\n\n| | | ms | lost |\n| --- | --- | --: | --: |\n" +
      "| a | 2 processes | 1,234 (1,200–1,300) | 0 |\n| b | 2 processes | | 1 |\n\n## Z\n",
  );
  const key = { section: "Start", column: "ms", who: "a", scale: "2 processes" };
  assertEquals(find(key), { median: 1234, min: 1200, max: 1300 });
  assertEquals(find({ ...key, column: "lost" }), { median: 0, min: 0, max: 0 });
  for (const other of [{ who: "b" }, { who: "c" }, { column: "s" }, { section: "End" }]) {
    assertEquals(find({ ...key, ...other }), undefined);
  }
});

Deno.test("drawTerminal() sets words in their columns, with their colours and as text", () => {
  const svg = drawTerminal("$ ls\n\x1b[1mA\x1b[22m  \x1b[32m<b>\x1b[39m c  d\n", "a & b");
  assertEquals(
    Array.from(
      svg.matchAll(/<text x="(.+?)".*? fill="(.+?)".*>(.*)<\/text>/g),
      ([, ...all]) => all,
    ),
    [
      ["20.0", "#59636e", "$"],
      ["36.8", "#0969da", "ls"],
      ["20.0", "#1f2328", "A"],
      ["45.2", "#1a7f37", "&lt;b&gt;"],
      ["78.8", "#1f2328", "c"],
      ["104.0", "#1f2328", "d"],
    ],
  );
  assertEquals(svg.includes("<title>a &amp; b</title>"), true);
});

Deno.test("drawTerminal() refuses a sequence that it does not know", () => {
  assertThrows(() => drawTerminal("\x1b[2J", "a"), Error, "expected a colour or bold text");
});

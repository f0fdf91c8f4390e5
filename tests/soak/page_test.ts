import { assert, assertEquals, assertMatch } from "@std/assert";
import { SHORT } from "../../tools/soak/amounts.ts";
import { type FaultResult, runFault } from "../../tools/soak/fault.ts";
import { renderFaultPart, renderFaultSummary } from "../../tools/soak/fault_page.ts";
import { renderPage, renderReports, renderSummary } from "../../tools/soak/page.ts";
import type { ScenarioResult } from "../../tools/soak/scenario.ts";
import { SCENARIOS } from "../../tools/soak/scenarios.ts";
import { Tally } from "../../tools/soak/tally.ts";

function result(name: string, { lost }: { lost: boolean }): ScenarioResult {
  const tally = new Tally("aio tcp", "kept");
  for (let pid = 1; pid <= 3; pid++) tally.answered({ version: "1", pid, ms: 10 });
  if (lost) tally.lost("cut", "of a test");
  const scenario = SCENARIOS.find((scenario) => scenario.name === name)!;
  const faults = lost ? ["aio tcp, kept: 1 requests lost"] : [];
  return { scenario, amounts: SHORT, reports: [tally.report()], faults, seconds: 1 };
}

const RESULTS = [result("reload", { lost: false }), result("upgrade", { lost: true })];

/** The cells of the lines of a table, without its head. */
function cellsOf(table: string): string[][] {
  return table.trim().split("\n").slice(2).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  );
}

Deno.test("renderSummary() tells of each scenario what was lost, and whether it passed", () => {
  const lines = cellsOf(renderSummary(RESULTS)).map((
    [name, , requests, lost, ...rest],
  ) => [name, requests, lost, rest.at(-1)]);
  assertEquals(lines, [["reload", "3", "0", "passed"], ["upgrade", "4", "1", "FAILED"]]);
});

Deno.test("renderReports() has a column for each way to be lost, and those of an end if there was one", () => {
  assertEquals(cellsOf(renderReports(RESULTS[1].reports)), [
    ["aio tcp", "kept", "3", "0", "0", "0", "1", "0", "10", "10", "10", "3"],
  ]);
  const tally = new Tally("http unix", "fresh");
  tally.parted("queuedAtEnd");
  assertMatch(
    renderReports([tally.report()]),
    /reset in the queue at the end/,
  );
});

Deno.test("renderPage() says what failed, and on what it was run", () => {
  const machine = { deno: "1.2.3", kernel: "4.5.6", cores: 7, arch: "x" };
  const page = renderPage(RESULTS, { machine, command: "deno task soak", load: SHORT.load });
  assertMatch(page, /1 of 2\s+scenarios passed; of 7 requests 1 were lost/);
  assertMatch(page, /Deno 1\.2\.3, Linux 4\.5\.6, x, 7 cores/);
  assert(page.includes("```text\naio tcp, kept: 1 requests lost\n```"));
});

/** What came of a fault that does no more than tell figures. */
function faultResult(name: string, values: readonly number[]): Promise<FaultResult> {
  return runFault({
    name,
    loses: "Nothing.",
    describe: () => `${name} of a test`,
    act({ showsAtMost }) {
      for (const value of values) showsAtMost({ what: "time, ms", value }, 10);
      return Promise.resolve();
    },
  }, SHORT);
}

Deno.test("renderFaultPart() tells each figure, what is lost, and which figure is beyond its bound", async () => {
  const results = [await faultResult("one", [9.6]), await faultResult("two", [3, 10.5])];
  assertEquals(cellsOf(renderFaultSummary(results)), [
    ["one", "Nothing.", "0", "passed"],
    ["two", "Nothing.", "0", "FAILED"],
  ]);
  const part = renderFaultPart(results);
  assertMatch(part, /^# Faults\n/);
  assertMatch(part, /: 1 of 2\s+passed/);
  assertMatch(part, /## one\n\none of a test\. Lost: Nothing\.\n/);
  assertMatch(part, /\| time, ms \| +10 \|/);
  assert(part.includes("```text\ntime, ms: 10.5, expected 10 at most\n```"), part);
});

Deno.test("runFault() reports what is thrown, with the figures until then", async () => {
  const { figures, faults } = await runFault({
    name: "thrown",
    loses: "Nothing.",
    describe: () => "a test",
    act({ shows }) {
      shows("before", "it");
      throw new Error("it went wrong");
    },
  }, SHORT);
  assertEquals(figures, [{ what: "before", value: "it" }]);
  assertMatch(faults.join(), /it went wrong/);
});

import { assertEquals } from "@std/assert";
import { type Bar, BARS, judge, NAMES } from "../../bench/bars.ts";
import { CONTENDERS } from "../../bench/contenders/all.ts";
import { processes, Table } from "../../bench/table.ts";

const OURS = { who: "ours", scale: "1 process" };
const SLOW = { who: "slow", scale: "1 process" };
const FAST = { who: "fast", scale: "1 process" };

function tableOf(figures: readonly (readonly [{ who: string; scale: string }, number[]])[]): Table {
  const table = new Table("t", "T", "");
  for (const [key, samples] of figures) samples.forEach((n) => table.add(key, { "n": n }));
  return table;
}

function verdictOf(bar: Partial<Bar>, table: Table) {
  const [verdict] = judge([{ table: "t", column: "n", ours: OURS, than: [], ...bar }], [table]);
  return verdict!;
}

Deno.test("judge() passes a ratio at its bar, and fails one below", () => {
  const table = tableOf([[OURS, [97, 97, 97]], [SLOW, [100, 100, 100]]]);
  assertEquals(verdictOf({ than: [SLOW], atLeast: 0.97 }, table).verdict, "pass");
  assertEquals(verdictOf({ than: [SLOW], atLeast: 0.98 }, table).verdict, "fail");
  assertEquals(verdictOf({ than: [SLOW], atMost: 0.97 }, table).verdict, "pass");
  assertEquals(verdictOf({ than: [SLOW], atMost: 0.96 }, table).verdict, "fail");
});

Deno.test("judge() compares with the best of several: the most, or the least where less is better", () => {
  const table = tableOf([[OURS, [10]], [SLOW, [5]], [FAST, [20]]]);
  assertEquals(verdictOf({ than: [SLOW, FAST], atLeast: 1 }, table).than, FAST);
  assertEquals(verdictOf({ than: [SLOW, FAST], atMost: 1 }, table).than, SLOW);
});

Deno.test("judge() takes the worst round of a figure that is compared with nothing", () => {
  assertEquals(verdictOf({ atMost: 0 }, tableOf([[OURS, [0, 0, 0]]])).verdict, "pass");
  assertEquals(verdictOf({ atMost: 0 }, tableOf([[OURS, [0, 1, 0]]])).verdict, "fail");
});

Deno.test("judge() calls nothing a pass that was not measured", () => {
  const table = tableOf([[OURS, [1]]]);
  assertEquals(verdictOf({ than: [FAST], atLeast: 1 }, table).verdict, "not measured");
  assertEquals(verdictOf({ ours: FAST, atMost: 0 }, table).verdict, "not measured");
  assertEquals(verdictOf({ column: "m", atMost: 0 }, table).verdict, "not measured");
});

Deno.test("judge() leaves out the bars of tables that are not there", () => {
  assertEquals(judge(BARS, [new Table("another", "", "")]), []);
});

Deno.test("BARS name contenders that there are", () => {
  const names = new Set<string>([...CONTENDERS.map(({ name }) => name), NAMES.empty]);
  for (const { ours, than } of BARS) {
    for (const { who } of [ours, ...than]) assertEquals(names.has(who.split(": ")[0]!), true, who);
  }
});

Deno.test("processes() counts in words", () => {
  assertEquals([processes(1), processes(2)], ["1 process", "2 processes"]);
});

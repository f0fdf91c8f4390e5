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

function resultOf(bar: Partial<Bar>, table: Table) {
  const [result] = judge([{ table: "t", column: "n", ours: OURS, than: [], ...bar }], [table]);
  return result!;
}

Deno.test("judge() passes a ratio at its bar, and fails one below", () => {
  const table = tableOf([[OURS, [97, 97, 97]], [SLOW, [100, 100, 100]]]);
  assertEquals(resultOf({ than: [SLOW], atLeast: 0.97 }, table).result, "pass");
  assertEquals(resultOf({ than: [SLOW], atLeast: 0.98 }, table).result, "fail");
  assertEquals(resultOf({ than: [SLOW], atMost: 0.97 }, table).result, "pass");
  assertEquals(resultOf({ than: [SLOW], atMost: 0.96 }, table).result, "fail");
});

Deno.test("judge() compares with the best of several: the most, or the least where less is better", () => {
  const table = tableOf([[OURS, [10]], [SLOW, [5]], [FAST, [20]]]);
  assertEquals(resultOf({ than: [SLOW, FAST], atLeast: 1 }, table).than, FAST);
  assertEquals(resultOf({ than: [SLOW, FAST], atMost: 1 }, table).than, SLOW);
});

Deno.test("judge() takes the worst round of a figure that is compared with nothing", () => {
  assertEquals(resultOf({ atMost: 0 }, tableOf([[OURS, [0, 0, 0]]])).result, "pass");
  assertEquals(resultOf({ atMost: 0 }, tableOf([[OURS, [0, 1, 0]]])).result, "fail");
});

Deno.test("judge() does not judge a bar with fewer rounds than it needs, and tells the ratio", () => {
  const bar = { than: [SLOW], atLeast: 0.97, rounds: 3 };
  for (
    const [samples, expected] of [[[98, 98], "too few rounds"], [[98, 98, 98], "pass"]] as const
  ) {
    const found = resultOf(bar, tableOf([[OURS, [...samples]], [SLOW, samples.map(() => 100)]]));
    assertEquals([found.result, found.found?.median], [expected, 0.98]);
  }
});

Deno.test("judge() calls nothing a pass that was not measured", () => {
  const table = tableOf([[OURS, [1]]]);
  assertEquals(resultOf({ than: [FAST], atLeast: 1 }, table).result, "not measured");
  assertEquals(resultOf({ ours: FAST, atMost: 0 }, table).result, "not measured");
  assertEquals(resultOf({ column: "m", atMost: 0 }, table).result, "not measured");
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

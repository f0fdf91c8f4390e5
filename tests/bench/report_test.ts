import { assertEquals, assertStringIncludes } from "@std/assert";
import { judge } from "../../bench/bars.ts";
import {
  formatNumber,
  formatSummary,
  renderBars,
  renderReport,
  renderTable,
} from "../../bench/report.ts";
import { Table } from "../../bench/table.ts";

Deno.test("formatNumber() keeps what a reader needs", () => {
  assertEquals([0, 12, 1.2345, 0.01234, 123.4, 1234.5, 1234567].map(formatNumber), [
    "0",
    "12",
    "1.23",
    "0.0123",
    "123",
    "1,235",
    "1,234,567",
  ]);
});

Deno.test("formatSummary() shows a spread only where there is one", () => {
  assertEquals(formatSummary({ median: 5, min: 5, max: 5 }), "5");
  assertEquals(formatSummary({ median: 5, min: 4, max: 7 }), "5 (4–7)");
  assertEquals(
    formatSummary({ median: 1, min: 1, max: 2 }, (n) => n.toFixed(2)),
    "1.00 (1.00–2.00)",
  );
});

Deno.test("renderTable() aligns the numbers to the right", () => {
  assertEquals(
    renderTable(["a", "b", "c"], [["x", "y", "1"]]),
    "| a | b | c |\n| --- | --- | --: |\n| x | y | 1 |\n",
  );
});

Deno.test("renderReport() shows facts, ratios, tables with gaps, and what was left out", () => {
  const table = new Table("echo", "Echo", "How it was done.");
  table.add({ who: "ours", scale: "1 process" }, { "lines/s": 90 });
  table.add({ who: "theirs", scale: "1 process" }, { "lines/s": 100, "ms": 7 });
  table.note("A note.");
  const bars = [{
    table: "echo",
    column: "lines/s",
    ours: { who: "ours", scale: "1 process" },
    than: [{ who: "theirs", scale: "1 process" }],
    atLeast: 0.95,
  }];
  const results = judge(bars, [table]);
  const report = renderReport({
    facts: { "Deno": "1.2.3" },
    tables: [table],
    results,
    notes: ["PM2: no npm"],
  });
  for (
    const part of [
      "- Deno: 1.2.3\n",
      "| echo: lines/s | ours (1 process) / theirs (1 process) | 0.90 |\n",
      "## Echo\n\nHow it was done.\n\n|  |  | lines/s | ms |\n",
      "| ours | 1 process | 90 |  |\n",
      "\n- A note.\n",
      "## Left out\n\n- PM2: no npm\n",
    ]
  ) assertStringIncludes(report, part);
  assertStringIncludes(
    renderBars(results),
    "| echo: lines/s | ours (1 process) / theirs (1 process) | 0.90 | ≥ 0.95 | **fail** |\n",
  );
});

Deno.test("Table keeps the samples of a row together, and notes once", () => {
  const table = new Table("t", "T", "");
  const key = { who: "ours", scale: "1" };
  table.add(key, { "a": 1 });
  table.add({ ...key }, { "a": 2, "b": 3 });
  table.note("x");
  table.note("x");
  table.noteError(key, new Error("broken\nwith details"));
  assertEquals(table.find(key)?.samples, new Map([["a", [1, 2]], ["b", [3]]]));
  assertEquals(table.columns(), ["a", "b"]);
  assertEquals(table.notes, ["x", "ours, 1: broken"]);
});

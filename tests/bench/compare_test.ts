import { assertEquals, assertStringIncludes } from "@std/assert";
import { compare } from "../../bench/compare.ts";
import { renderComparison } from "../../bench/report.ts";
import { Table } from "../../bench/table.ts";

const KEY = { who: "master", scale: "1 process" };
const ROUNDS = 9;

/** A table with the samples of one column, of this checkout and of the commit `abc`. */
function tableOf(column: string, here: readonly number[], there: readonly number[]): Table {
  const table = new Table("t", "T", "");
  for (const value of here) table.add(KEY, { [column]: value });
  for (const value of there) table.add({ ...KEY, commit: "abc" }, { [column]: value });
  return table;
}

const compareOne = (table: Table, rounds = ROUNDS) => compare([table], { commit: "abc", rounds });

const wordsOf = (column: string, here: readonly number[], there: readonly number[]) =>
  compareOne(tableOf(column, here, there)).all[0]?.words;

/** Rounds of a machine that is unsteady, with something on top in each. */
const rounds = (factor: (round: number) => number) =>
  Array.from({ length: ROUNDS }, (_, round) => (100 + 30 * (round % 3)) * factor(round));

const SAME = rounds(() => 1);

Deno.test("compare() says in words what more or less of a figure means", () => {
  const more = rounds((round) => 1.02 + round / 1000),
    less = rounds((round) => 0.98 - round / 1000);
  for (
    const [column, ofMore, ofLess] of [
      ["requests/s", "faster", "slower"],
      ["server's CPU, µs each", "slower", "faster"],
      ["p99 µs", "slower", "faster"],
      ["reload ms each", "slower", "faster"],
      ["ms", "slower", "faster"],
      ["idle, resident MB", "larger", "smaller"],
      ["KB each", "larger", "smaller"],
      ["new connections failed", "more", "fewer"],
      ["attempts lost", "more", "fewer"],
      ["master, 1/s", "more", "fewer"],
      ["not in the files", "more", "fewer"],
      ["mixed", "less even", "more even"],
    ] as const
  ) {
    assertEquals(
      [wordsOf(column, more, SAME), wordsOf(column, less, SAME)],
      [ofMore, ofLess],
      column,
    );
  }
});

Deno.test("compare() sees no difference where a round contradicts the others", () => {
  assertEquals(
    wordsOf("lines/s", rounds((round) => round === 4 ? 0.99 : 1.05), SAME),
    "no difference seen",
  );
  assertEquals(wordsOf("attempts lost", SAME.map(() => 0), SAME.map(() => 0)), "equal");
});

Deno.test("compare() takes one figure of each round, the median", () => {
  const thrice = (samples: readonly number[]) =>
    samples.flatMap((one) => [one, one / 10, one * 10]);
  const [found] = compareOne(tableOf("ms", thrice(rounds(() => 2)), thrice(SAME))).all;
  assertEquals(found?.ratio, { median: 2, low: 2, high: 2, confidence: 1 - 2 / 2 ** ROUNDS });
});

Deno.test("compare() says nothing of a few rounds, of one side alone, or of what is neither good nor bad", () => {
  const few = compareOne(tableOf("ms", [2, 2, 2], [1, 1, 1]), 3);
  assertEquals(few.all.map(({ words }) => words), ["too few rounds to tell"]);
  assertEquals(compareOne(tableOf("ms", SAME, [])).all, []);
  assertEquals(compareOne(tableOf("ms", SAME, SAME.slice(1))).all, []);
  assertEquals(compareOne(tableOf("requests answered", SAME, SAME)).all, []);
});

Deno.test("compare() tells where the client was the limit, and passes the notes on", () => {
  const table = tableOf("client's share of a CPU", SAME.map(() => 0.97), SAME.map(() => 0.9));
  table.note("A note.");
  assertEquals(compareOne(table).notes, [
    "t: master, 1 process: the client used 0.97 of its CPU and may be the limit of the rate.",
    "t: A note.",
  ]);
});

Deno.test("renderComparison() shows facts, both figures, the ratio with its bounds, and words", () => {
  const { all, notes } = compareOne(
    tableOf("lines/s", rounds((round) => 1.02 + round / 1000), SAME),
  );
  const report = renderComparison({
    facts: { This: "def" },
    commit: "abc",
    all,
    notes: [...notes, "A note."],
  });
  for (
    const part of [
      "# This checkout and abc\n",
      "- This: def\n",
      "a confidence of 99.6 % or more",
      "| t: lines/s | master (1 process) | 133 | 130 | 1.024 (1.020–1.028) | faster |\n",
      "- A note.\n",
    ]
  ) assertStringIncludes(report, part);
});

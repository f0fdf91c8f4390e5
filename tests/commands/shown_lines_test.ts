import { assertEquals } from "@std/assert";
import { ShownLines } from "../../src/commands/shown_lines.ts";
import type { LogLine } from "../../src/control/messages.ts";

const HOUR_MS = 3_600_000;

function line(atMs: number, key: string): LogLine {
  return { atMs, key, level: "info", service: null, pid: 1, stream: null, text: key };
}

/** Shows lines at a time, and returns the keys of those that are new. */
function scene() {
  let nowMs = 10 * HOUR_MS;
  const shown = new ShownLines(() => nowMs);
  return {
    at: (ms: number) => nowMs = ms,
    show(...lines: readonly LogLine[]): string[] {
      const fresh = shown.fresh(lines);
      shown.add(fresh);
      return fresh.map(({ key }) => key);
    },
  };
}

Deno.test("ShownLines shows each line once, and none of before the first one", () => {
  const { at, show } = scene();
  assertEquals(show(line(9 * HOUR_MS, "a"), line(9 * HOUR_MS + 1, "b")), ["a", "b"]);
  at(10 * HOUR_MS + 5);
  // The next master has older lines as well.
  const next = [line(HOUR_MS, "old"), line(9 * HOUR_MS + 1, "b"), line(10 * HOUR_MS, "c")];
  assertEquals(show(...next), ["c"]);
  assertEquals(show(line(2 * HOUR_MS, "old, too")), []);
});

Deno.test("ShownLines shows the lines that come after the time of day was set back", () => {
  const { at, show } = scene();
  assertEquals(show(line(10 * HOUR_MS, "a")), ["a"]);
  at(9 * HOUR_MS);
  assertEquals(show(line(9 * HOUR_MS - 20, "b")), ["b"]);
  at(9 * HOUR_MS + 1);
  assertEquals(show(line(9 * HOUR_MS, "c"), line(8 * HOUR_MS, "old")), ["c"]);
});

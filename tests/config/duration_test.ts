import { assertEquals } from "@std/assert";
import { formatDuration } from "../../src/config/duration.ts";

Deno.test("formatDuration() shows the two largest units", () => {
  const cases: readonly (readonly [ms: number, text: string])[] = [
    [0, "0 ms"],
    [49, "49 ms"],
    [100, "0.1 s"],
    [1_234, "1.2 s"],
    [9_960, "10 s"],
    [59_000, "59 s"],
    [65_000, "1 min 5 s"],
    [3_600_000, "1 h"],
    [3_660_000, "1 h 1 min"],
    [90_000_000, "1 d 1 h"],
  ];
  for (const [ms, text] of cases) assertEquals(formatDuration(ms), text);
});

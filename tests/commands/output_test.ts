import { assertEquals } from "@std/assert";
import { duration, layOut, size } from "../../src/commands/output.ts";

Deno.test("layOut() aligns columns by what a terminal shows, numbers to the right", () => {
  const rows = [["NAME", "N"], ["邮件", { text: "5", right: true }], ["a", {
    text: "10",
    right: true,
  }]];
  assertEquals(layOut(rows, { colour: false }), ["NAME  N", "邮件   5", "a     10"]);
});

Deno.test("layOut() gives styles to text and none to the space around it", () => {
  const [line] = layOut([[{ text: "ok", style: "green" }, "x"], ["long", ""]], { colour: true });
  assertEquals(line, "\x1b[32mok\x1b[39m    x");
});

Deno.test("duration() shows the two largest units", () => {
  const cases: readonly (readonly [ms: number, text: string])[] = [
    [0, "0.0 s"],
    [1_234, "1.2 s"],
    [59_000, "59 s"],
    [65_000, "1 min 5 s"],
    [3_600_000, "1 h"],
    [3_660_000, "1 h 1 min"],
    [90_000_000, "1 d 1 h"],
  ];
  for (const [ms, text] of cases) assertEquals(duration(ms), text);
});

Deno.test("size() shows a number of two or three digits", () => {
  assertEquals(size(512), "512 B");
  assertEquals(size(1_536), "1.5 KiB");
  assertEquals(size(61 * 2 ** 20), "61 MiB");
  assertEquals(size(3 * 2 ** 30), "3.0 GiB");
});

import { assertEquals } from "@std/assert";
import { layOut } from "../../src/commands/output.ts";

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

import { assertEquals, assertThrows } from "@std/assert";
import { RATE } from "../../src/config/values.ts";

Deno.test("RATE reads a count and a time", () => {
  assertEquals(RATE.parse("5/60"), { count: 5, withinMs: 60_000 });
  assertEquals(RATE.parse("1/2m"), { count: 1, withinMs: 120_000 });
});

Deno.test("RATE refuses everything else, and says what is right", () => {
  for (
    const text of ["5", "/", "5/", "/5", "0/5", "5/0", "-1/5", "1.5/5", "5/5/5", "5/x", " 5/5"]
  ) {
    const error = assertThrows(() => RATE.parse(text), Error, RATE.expected);
    assertEquals(error.message.split(":")[0], `Cannot read "${text}"`);
  }
});

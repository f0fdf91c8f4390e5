import { assertEquals, assertThrows } from "@std/assert";
import { METRICS_PAGE, withMetrics } from "../tools/metrics_table.ts";

Deno.test("docs/metrics.md has the table of the metrics that are served", () => {
  const page = Deno.readTextFileSync(new URL(`../${METRICS_PAGE}`, import.meta.url));
  assertEquals(page, withMetrics(page));
});

Deno.test("withMetrics() refuses a page that has no room for the table", () => {
  assertThrows(() => withMetrics("# A page\n"), Error, "no room, expected <!-- metrics:");
});

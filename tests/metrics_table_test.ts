import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { MOST_VIEWERS, STALLED_MS } from "../src/metrics/viewers.ts";
import { METRICS_PAGE, withMetrics } from "../tools/metrics_table.ts";

Deno.test("docs/metrics.md has the table of the metrics that are served", () => {
  const page = Deno.readTextFileSync(new URL(`../${METRICS_PAGE}`, import.meta.url));
  assertEquals(page, withMetrics(page));
  assertStringIncludes(page, `${MOST_VIEWERS} can look at the same time`);
  assertStringIncludes(page, `reads nothing for ${STALLED_MS / 1000} seconds`);
});

Deno.test("withMetrics() refuses a page that has no room for the table", () => {
  assertThrows(() => withMetrics("# A page\n"), Error, "no room, expected <!-- metrics:");
});

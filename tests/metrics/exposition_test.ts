import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { METRICS, renderExposition } from "../../src/metrics/exposition.ts";
import { masterStatus, processStatus, serviceStatus } from "./statuses.ts";

/** The lines of a metric. */
function linesOf(text: string, name: string): string[] {
  return text.split("\n").filter((line) =>
    line.startsWith(`${name}{`) || line.startsWith(`${name} `)
  );
}

Deno.test("renderExposition() writes each sample behind the help and the type of its metric", () => {
  const text = renderExposition(masterStatus());
  let name = "", type = "";
  const seen = new Set<string>();
  for (const line of text.trimEnd().split("\n")) {
    const [, kind, of, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === "HELP") {
      assert(!seen.has(of), `${of} comes twice`);
      seen.add(name = of);
    } else if (kind === "TYPE") {
      assertEquals(of, name);
      type = rest;
    } else {
      const suffix = type === "histogram" ? "_(?:bucket|sum|count)" : "";
      assertMatch(line, new RegExp(`^${name}${suffix}(?:\\{[^}]*\\})? [0-9.e+-]+$`));
    }
  }
  assert(text.endsWith("\n") && !text.includes("null") && !text.includes("NaN"), text);
});

Deno.test("renderExposition() gives each sample exactly the labels that the table names", () => {
  const status = masterStatus();
  for (const { name, type, labels, samples } of METRICS) {
    for (const { labels: found, suffix } of samples(status)) {
      const wanted = suffix === "_bucket" ? [...labels, "le"] : labels;
      assertEquals(Object.keys(found), wanted, name);
    }
    assertEquals(type === "counter", name.endsWith("_total"), name);
    assert(name.startsWith("zc_"), name);
  }
});

Deno.test("renderExposition() escapes what a name may hold, so that no line can be forged", () => {
  const id = 'a"b\\c\nzc_up 0\n# x';
  const text = renderExposition(masterStatus([serviceStatus(id)]));
  assertStringIncludes(text, 'service="a\\"b\\\\c\\nzc_up 0\\n# x"');
  assertEquals(linesOf(text, "zc_up"), ["zc_up 1"]);
});

Deno.test("renderExposition() counts processes by state, and leaves out what is not known", () => {
  const processes = [
    processStatus(1),
    processStatus(2, { state: "draining", connections: 5 }),
    processStatus(3, {
      state: "loading",
      slot: null,
      connections: null,
      accepted: null,
      cpuMs: null,
      memoryBytes: null,
    }),
  ];
  const text = renderExposition(
    masterStatus([
      serviceStatus("a.cf", { processes, ready: 1, busy: 1 }),
      serviceStatus("b.cf", { processes: [], ready: 0, busy: null }),
    ]),
  );
  const count = (state: string) =>
    text.includes(`zc_service_processes{service="a.cf",state="${state}"} 1\n`);
  assert(["ready", "draining", "loading"].every(count), text);
  assertStringIncludes(text, 'zc_service_processes{service="a.cf",state="killing"} 0\n');
  assertEquals(linesOf(text, "zc_service_connections"), [
    'zc_service_connections{service="a.cf"} 8',
  ]);
  assertEquals(linesOf(text, "zc_service_busy_ratio"), ['zc_service_busy_ratio{service="a.cf"} 1']);
  assertEquals(linesOf(text, "zc_process_cpu_seconds_total").length, 2);
  assertStringIncludes(text, 'zc_process_age_seconds{service="a.cf",pid="3",slot=""} 60\n');
  assert(!text.includes("zc_last_reload"), "there was none");
});

Deno.test("renderExposition() writes drains as a histogram that grows to its count", () => {
  const service = serviceStatus("a.cf");
  const drains = { count: 5, totalMs: 2_500, killed: 1, buckets: [1, 3, 4, 4, 4, 4, 4, 5] };
  const text = renderExposition(
    masterStatus([{ ...service, counters: { ...service.counters, drains } }]),
  );
  const buckets = linesOf(text, "zc_service_drain_duration_seconds_bucket");
  assertEquals(buckets.length, 9);
  assertEquals(buckets[0], 'zc_service_drain_duration_seconds_bucket{service="a.cf",le="0.1"} 1');
  assertEquals(buckets[8], 'zc_service_drain_duration_seconds_bucket{service="a.cf",le="+Inf"} 5');
  assertEquals(linesOf(text, "zc_service_drain_duration_seconds_sum"), [
    'zc_service_drain_duration_seconds_sum{service="a.cf"} 2.5',
  ]);
  assertEquals(linesOf(text, "zc_service_drains_killed_total"), [
    'zc_service_drains_killed_total{service="a.cf"} 1',
  ]);
});

Deno.test("renderExposition() tells how the last reload went", () => {
  const lastReload = { atMs: 1_000, durationMs: 250, outcome: "rolled back", text: "x" } as const;
  const text = renderExposition(masterStatus([], { lastReload, state: "degraded" }));
  assertStringIncludes(text, "zc_last_reload_success 0\n");
  assertStringIncludes(text, "zc_last_reload_timestamp_seconds 1\n");
  assertStringIncludes(text, "zc_last_reload_duration_seconds 0.25\n");
  assertStringIncludes(text, "zc_ready 0\n");
});

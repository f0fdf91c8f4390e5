import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { METRICS } from "../../src/metrics/exposition.ts";
import { Client, greeted } from "../support/client.ts";
import { MetricsSite } from "../support/metrics.ts";
import { Prometheus, promtool, SCRAPE_MS } from "../support/prometheus.ts";
import { eventually } from "../support/wait.ts";

/** For how long scrapes may fail over an upgrade, on a busy machine: many times what it takes. */
const GAP_MS = 5_000;

Deno.test("promtool finds no fault in the metrics of a master, and Prometheus sees no counter fall over a reload, an upgrade and a killed server", async () => {
  await using site = new MetricsSite();
  const port = site.port();
  site.serve("web.cf", { mode: "coroutine", service: port, "server-proc-count": 2 });
  const master = await site.start();
  await master.serving("web.cf", 2);
  await site.url();
  await using prometheus = new Prometheus(`127.0.0.1:${site.metricsPort}`);
  await prometheus.scrapes();
  /** Fails unless a sum reaches a number, which every further step then starts from. */
  const reaches = (query: string) => prometheus.until(query, query);
  const connect = async () => {
    for (let count = 0; count < 5; count++) (await greeted(port)).close();
  };

  await connect();
  await reaches('zc_service_connections_accepted_total{service="web.cf"} >= 5');
  await reaches('zc_service_process_starts_total{service="web.cf"} == 2');

  await master.reload();
  await reaches('zc_reloads_total{outcome="committed"} == 1');
  await reaches('zc_service_process_starts_total{service="web.cf"} == 4');
  await reaches('zc_service_drain_duration_seconds_count{service="web.cf"} >= 2');
  await connect();
  await reaches('zc_service_connections_accepted_total{service="web.cf"} >= 10');

  const [{ pid: victim }] = master.servers("web.cf");
  Deno.kill(victim, "SIGKILL");
  await reaches('zc_service_process_ends_total{service="web.cf",reason="signal"} == 1');
  await reaches('zc_service_state{service="web.cf",state="ready"} == 1');

  await master.upgrade();
  await reaches('zc_upgrades_total{outcome="completed"} == 1');
  await reaches('zc_service_state{service="web.cf",state="ready"} == 1');
  await connect();
  await reaches('zc_service_connections_accepted_total{service="web.cf"} >= 15');
  await reaches('zc_service_process_ends_total{service="web.cf",reason="signal"} == 1');

  // Every sample that Prometheus has, not only the last ones.
  for (const { name, type } of METRICS) {
    // The numbers of a process end with it.
    if (type === "gauge" || name.startsWith("zc_process_")) continue;
    const names = type === "counter"
      ? [name]
      : ["_bucket", "_sum", "_count"].map((end) => name + end);
    for (const one of names) {
      const series = await prometheus.query(`${one}[1h]`);
      assertGreater(series.length, 0, `${one} is missing`);
      for (const { labels, values } of series) {
        values.forEach(({ value }, index) => {
          const before = values[Math.max(0, index - 1)].value;
          assert(value >= before, `${one} ${JSON.stringify(labels)}: ${before}, then ${value}`);
        });
      }
    }
  }
  await reaches("sum_over_time(up[1h]) > 10");
  const [{ values: up }] = await prometheus.query("up[1h]");
  const first = up.findIndex(({ value }) => value === 1), seen = up.slice(first);
  assertGreater(seen.length, 10);
  let goodAtMs = seen[0].atMs, longestMs = 0;
  for (const { atMs, value } of seen) {
    longestMs = Math.max(longestMs, atMs - goodAtMs);
    if (value === 1) goodAtMs = atMs;
  }
  const failed = seen.filter(({ value }) => value === 0).length;
  console.log(
    `${seen.length} scrapes each ${SCRAPE_MS} ms, ${failed} failed; ` +
      `the longest time from one that succeeded to the next: ${Math.round(longestMs)} ms`,
  );
  assertLess(longestMs, GAP_MS);

  // The whole text, after all that has happened.
  const [status, text] = await site.ask("metrics");
  assertEquals(status, 200);
  assertEquals(await promtool(["check", "metrics"], text), { code: 0, output: "" });
  await master.stop();
});

Deno.test("Prometheus sees a service that has failed, in the metrics and in the rules of docs/metrics.md", async () => {
  await using site = new MetricsSite();
  site.write("bad.cf", {
    "server-command": `${site.server("coroutine")} --fail-in=beforeService`,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-start-limit": "2/1m",
  });
  await site.start();
  const url = await site.url();
  await using prometheus = new Prometheus(`127.0.0.1:${site.metricsPort}`);
  await prometheus.until('zc_service_state{service="bad.cf",state="failed"} == 1', "the failure");
  await prometheus.until("zc_ready == 0", "a master that is not ready");
  await prometheus.until("zc_up == 1", "a master that answers");
  const response = await fetch(`${url}ready`);
  assertEquals(response.status, 503);
  assert((await response.text()).startsWith("bad.cf: failed, 0 of 1 processes ready: "));
  for (const expression of await alerts()) {
    // The series are found, whether there is anything to alert of or not.
    await prometheus.query(expression);
  }
  const failing = (await alerts()).filter((one) => one.includes('state="failed"'));
  assertEquals(failing.length, 1);
  await prometheus.until(failing[0], "the alert");
});

/** The expressions of the alerts in docs/metrics.md. */
async function alerts(): Promise<string[]> {
  const rules = await exampleRules();
  return Array.from(rules.matchAll(/^ +expr: (.*)$/gm), ([, expression]) => expression);
}

async function exampleRules(): Promise<string> {
  const page = await Deno.readTextFile(new URL("../../docs/metrics.md", import.meta.url));
  const [, rules] = /^```yaml\n(groups:\n.*?)^```/ms.exec(page) ?? [];
  return rules;
}

Deno.test("promtool accepts the rules of docs/metrics.md, and each names metrics that there are", async () => {
  const path = await Deno.makeTempFile({ suffix: ".yml" });
  try {
    await Deno.writeTextFile(path, await exampleRules());
    const { code, output } = await promtool(["check", "rules", path]);
    assertEquals(code, 0, output);
  } finally {
    await Deno.remove(path);
  }
  const known = new Set(METRICS.map(({ name }) => name));
  const expressions = await alerts();
  assertGreater(expressions.length, 5);
  for (const expression of expressions) {
    for (const [name] of expression.matchAll(/\bzc_\w+/g)) assert(known.has(name), name);
  }
});

Deno.test("a scrape that comes while the master starts its services is answered", async () => {
  await using site = new MetricsSite();
  site.serve("web.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  using client = await Client.connect(site.metricsPort);
  await client.write("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  assertEquals(await client.line(), "HTTP/1.1 200 OK\r");
  await eventually(async () => (await site.ask("ready"))[0] === 200, { what: "readiness" });
  client.close();
  await master.stop();
});

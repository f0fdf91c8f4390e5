import { assertEquals, assertGreater, assertLess, assertMatch } from "@std/assert";
import { MOST_VIEWERS } from "../../src/metrics/viewers.ts";
import { Client } from "../support/client.ts";
import { type Confinement, MetricsSite } from "../support/metrics.ts";
import { eventually, within } from "../support/wait.ts";

const CONFINEMENTS: readonly Confinement[] = ["its own permissions", "all permissions"];

/** Opens the stream of the page, and reads the head of the answer. */
async function view(port: number): Promise<{ readonly client: Client; readonly status: string }> {
  const client = await Client.connect(port);
  await client.write("GET /events HTTP/1.1\r\nhost: x\r\n\r\n");
  return { client, status: (await client.line()).trim() };
}

/** Waits for some messages with the status. */
async function seesStatus(client: Client, count: number): Promise<void> {
  let seen = 0;
  const reading = async () => {
    while (seen < count) if (/^event: status/.test(await client.line())) seen++;
  };
  await within(reading(), { what: "messages with the status" });
}

for (const confinement of CONFINEMENTS) {
  Deno.test(`the metrics service with ${confinement} answers, and no request harms it`, async () => {
    await using site = new MetricsSite(confinement);
    site.serve("web.cf", { mode: "coroutine", service: site.port() });
    const master = await site.start();
    await site.url();
    await eventually(async () => (await site.ask("ready"))[0] === 200, { what: "readiness" });
    const [status, text] = await site.ask("metrics");
    assertEquals(status, 200);
    assertMatch(text, /^zc_service_ready_processes\{service="metrics(?:\.cf)?"\} 1$/m);
    assertMatch(
      text,
      /^zc_process_resident_memory_bytes\{service="web.cf",pid="\d+",slot="0"\} \d+$/m,
    );
    assertEquals((await site.ask("nothing"))[0], 404);

    const long = "x".repeat(100_000);
    const requests = [
      `POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello`,
      `DELETE / HTTP/1.1\r\nhost: x\r\n\r\n`,
      `GET /metrics HTTP/1.1\r\nhost: x\r\ncookie: ${long}\r\n\r\n`,
      `GET /${long} HTTP/1.1\r\nhost: x\r\n\r\n`,
      `GET /metrics HTTP/1.1\r\n${"a: b\r\n".repeat(10_000)}\r\n`,
      `${long}\r\n\r\n`,
      `\0\x01\x02\r\n\r\n`,
    ];
    for (const request of requests) {
      using client = await Client.connect(site.metricsPort);
      try {
        await client.write(request);
        assertMatch(await client.line(), /^HTTP\/1\.1 4\d\d /, request.slice(0, 40));
      } catch (error) {
        // It may close the connection before it has read all.
        assertMatch(String(error), /reset|[Bb]roken pipe|end of file/, request.slice(0, 40));
      }
    }
    assertEquals((await site.ask("live"))[0], 200);
    assertEquals(master.logged(/metrics(?:\.cf)?: process \d+ ended/), 0);
    await master.stop();
  });

  Deno.test(`the metrics service with ${confinement} serves some dozens of viewers, and viewers hold up no stop`, async () => {
    await using site = new MetricsSite(confinement);
    site.serve("web.cf", { mode: "coroutine", service: site.port() });
    const master = await site.start();
    await site.url();
    const viewers = await Promise.all(
      Array.from({ length: MOST_VIEWERS + 5 }, () => view(site.metricsPort)),
    );
    const clients = viewers.map(({ client }) => client);
    try {
      const refused = viewers.filter(({ status }) => !status.endsWith("200 OK"));
      assertEquals(
        refused.map(({ status }) => status),
        Array(5).fill("HTTP/1.1 503 Service Unavailable"),
      );
      const served = viewers.filter((one) => !refused.includes(one)).map(({ client }) => client);
      // The others never read.
      await Promise.all(served.slice(0, 3).map((client) => seesStatus(client, 3)));
      assertEquals((await site.ask("metrics"))[0], 200);

      const began = performance.now();
      master.signal("SIGTERM");
      await master.stopped();
      const ms = performance.now() - began;
      assertLess(ms, 15_000, "as long as a drain may take at most");
    } finally {
      for (const client of clients) client.close();
    }
  });
}

Deno.test("a reload leaves the metrics service and its viewers alone, and an upgrade ends their streams for the next one", async () => {
  await using site = new MetricsSite();
  site.serve("web.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await site.url();
  const { client } = await view(site.metricsPort);
  await seesStatus(client, 1);
  await master.reload();
  await seesStatus(client, 2);
  await master.upgrade();
  let lines = 0;
  for (let isOpen = true; isOpen; lines++) {
    await client.line().catch((error) => {
      assertMatch(String(error), /end of file/);
      isOpen = false;
    });
  }
  assertGreater(lines, 0);
  client.close();
  const next = await view(site.metricsPort);
  await seesStatus(next.client, 1);
  next.client.close();
  await master.stop();
});

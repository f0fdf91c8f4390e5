import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { ControlClient } from "../../src/control/client.ts";
import { MetricsServer } from "../../src/metrics/server.ts";
import { MOST_VIEWERS, STALLED_MS, Viewers } from "../../src/metrics/viewers.ts";
import { FakeClock } from "../fakes/fake_clock.ts";
import { eventually, within } from "../support/wait.ts";
import { FakeMaster } from "./fake_master.ts";
import { masterStatus, processStatus, serviceStatus } from "./statuses.ts";

/** A metrics server in front of a fake master. */
class Scene implements Disposable {
  readonly master: FakeMaster;
  readonly server: MetricsServer;

  constructor(status = masterStatus()) {
    const master = this.master = new FakeMaster(status);
    this.server = new MetricsServer({ connect: () => ControlClient.connect(master.path) });
  }

  /** @param sent When the response counts as sent; at once by default. */
  ask(path: string, method = "GET", sent: Promise<void> = Promise.resolve()): Promise<Response> {
    return this.server.answer(new Request(`http://127.0.0.1/${path}`, { method }), sent);
  }

  async text(path: string): Promise<readonly [status: number, text: string]> {
    const response = await this.ask(path);
    return [response.status, await response.text()];
  }

  [Symbol.dispose](): void {
    this.server.stop();
    this.master[Symbol.dispose]();
  }
}

/** The messages of a stream of events. */
class Messages implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor({ body }: Response) {
    this.#reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next message; undefined at the end. */
  async next(): Promise<{ readonly event: string; readonly data: unknown } | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end < 0) {
        const { done, value } = await within(this.#reader.read(), { what: "a message" });
        if (done) return undefined;
        this.#text += value;
        continue;
      }
      const message = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(message) ?? [];
      if (event !== undefined) return { event, data: JSON.parse(data) };
    }
  }

  /** The next message of a kind for which the test is true. */
  async find(event: string, isWanted: (data: never) => boolean = () => true): Promise<unknown> {
    for (let message; (message = await this.next()) !== undefined;) {
      if (message.event === event && isWanted(message.data as never)) return message.data;
    }
    throw new Error(`Cannot find a message ${event}: the stream has ended`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}

Deno.test("MetricsServer answers with metrics, readiness and the page", async () => {
  using scene = new Scene();
  const metrics = await scene.ask("metrics");
  assertEquals(metrics.status, 200);
  assertEquals(metrics.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assertStringIncludes(await metrics.text(), 'zc_service_ready_processes{service="web.cf"} 1\n');
  assertEquals(await scene.text("live"), [200, "live\n"]);
  assertEquals(await scene.text("ready"), [200, "ready\n"]);
  const page = await scene.ask("?x=1");
  assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
  assertStringIncludes(await page.text(), "<title>zc</title>");
  for (const response of [metrics, page]) {
    assertEquals(response.headers.get("x-content-type-options"), "nosniff");
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertEquals(response.headers.get("access-control-allow-origin"), null);
  }
});

Deno.test("the policy of the page names its script and its style by their hashes, and allows nothing from outside", async () => {
  using scene = new Scene();
  const page = await scene.ask("");
  const policy = page.headers.get("content-security-policy") ?? "", html = await page.text();
  for (const tag of ["script", "style"]) {
    const [, text] = new RegExp(`<${tag}>(.*)</${tag}>`, "s").exec(html) ?? [];
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    const hash = new Uint8Array(digest).toBase64();
    assertStringIncludes(policy, `${tag}-src 'sha256-${hash}'`);
    assertEquals(html.split(`</${tag}>`).length, 2);
  }
  assertStringIncludes(policy, "default-src 'none'");
  assertEquals(/https?:/.exec(html.replaceAll("http://www.w3.org/2000/svg", "")), null);
});

Deno.test("MetricsServer refuses all methods but GET and HEAD, and unknown paths", async () => {
  using scene = new Scene();
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "X".repeat(10_000)]) {
    for (const path of ["", "metrics", "events", "live", "nothing"]) {
      const response = await scene.ask(path, method);
      assertEquals([response.status, response.headers.get("allow")], [405, "GET, HEAD"]);
      assertLess((await response.text()).length, 100);
    }
  }
  for (const path of ["nothing", "metrics/", "../etc/passwd", "%2e%2e/x", "events?x/../live/"]) {
    const { status, body } = await scene.ask(path);
    assertEquals(status, path.startsWith("events") ? 200 : 404, path);
    await body?.cancel();
  }
  await eventually(() => scene.master.asked > 0, { what: "the look for the viewer" });
  assertEquals(scene.master.asked, 1, "only the viewer needs the status");
});

Deno.test("MetricsServer answers a request whose host no URL can have, and logs nothing", async () => {
  using scene = new Scene();
  // Not even a Request can be made with it here; a client may send any.
  const request = { method: "GET", url: "http://[/live" } as Request;
  const response = await scene.server.answer(request, Promise.resolve());
  assertEquals(response.status, 400);
  assertLess((await response.text()).length, 100);
});

Deno.test("MetricsServer opens no stream for HEAD", async () => {
  using scene = new Scene();
  const response = await scene.ask("events", "HEAD");
  assertMatch(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  assertEquals(await response.text(), "");
});

Deno.test("/ready tells in one line for each service why it is not ready", async () => {
  using scene = new Scene(masterStatus([
    serviceStatus("a.cf"),
    serviceStatus("b.cf", { state: "failed", ready: 0, wanted: 2, problem: "exit code 1\nat x" }),
    serviceStatus("c.cf", { state: "starting", ready: 0, wanted: 1 }),
    serviceStatus("d.cf", { state: "stopped", ready: 0, wanted: 0 }),
  ], { state: "degraded" }));
  assertEquals(await scene.text("ready"), [
    503,
    "b.cf: failed, 0 of 2 processes ready: exit code 1 at x\n" +
    "c.cf: starting, 0 of 1 processes ready\n",
  ]);
  assertEquals((await scene.text("live"))[0], 200);
  const { master } = scene.master.status;
  scene.master.status = masterStatus([serviceStatus("a.cf")], {
    state: "degraded",
    master: { ...master, phase: "stopping" },
  });
  assertEquals(await scene.text("ready"), [503, "the master is stopping\n"]);
});

Deno.test("MetricsServer says plainly that the master is gone, and finds the next one at the same path", async () => {
  using scene = new Scene();
  assertEquals((await scene.text("live"))[0], 200);
  await scene.master.close();
  for (const path of ["metrics", "live", "ready"]) {
    assertEquals(await scene.text(path), [503, "The master does not answer.\n"]);
  }
  scene.master.open();
  assertEquals((await scene.text("metrics"))[0], 200);
});

Deno.test("a scrape in the gap between two masters waits for the new one", async () => {
  using scene = new Scene();
  await scene.master.close();
  const answer = scene.text("metrics");
  assertEquals(
    await Promise.race([answer, scene.ask("nothing")])
      .then((first) => first instanceof Response && first.status),
    404,
  );
  scene.master.open();
  assertEquals((await answer)[0], 200);
});

Deno.test("a master that answers nothing makes no request wait for ever", async () => {
  using scene = new Scene();
  scene.master.isStuck = true;
  assertEquals(await within(scene.text("live"), { what: "an answer", withinMs: 20_000 }), [
    503,
    "The master does not answer.\n",
  ]);
});

Deno.test("a thousand scrapes at once cost the master a few requests, and each gets a later status", async () => {
  using scene = new Scene();
  const many = () => Promise.all(Array.from({ length: 1_000 }, () => scene.text("metrics")));
  for (const [status, text] of await many()) {
    assertEquals(status, 200);
    assertStringIncludes(text, 'zc_service_wanted_processes{service="web.cf"} 1\n');
  }
  assertLess(scene.master.asked, 5);
  const asked = scene.master.asked;
  scene.master.status = masterStatus([serviceStatus("web.cf", { wanted: 7 })]);
  for (const [, text] of await many()) {
    assertStringIncludes(text, 'zc_service_wanted_processes{service="web.cf"} 7\n');
  }
  assertLess(scene.master.asked - asked, 5);
});

Deno.test("a viewer gets the history, the status each second, and at once what happens", async () => {
  using scene = new Scene();
  scene.server.start();
  await eventually(() => scene.master.asked === 1, { what: "the first look" });
  await using messages = new Messages(await scene.ask("events"));
  const history = await messages.next();
  assertEquals(history?.event, "history");
  type StatusMessage = { status: ReturnType<typeof masterStatus> };
  const first = await messages.find("status") as StatusMessage;
  assertEquals(first.status, JSON.parse(JSON.stringify(scene.master.status)));
  await messages.find("status");
  await eventually(() => scene.master.watchers === 1, { what: "the wait for events" });
  scene.master.status = masterStatus([serviceStatus("web.cf", { state: "degraded" })]);
  const began = performance.now();
  await scene.master.tell({
    atMs: 0,
    type: "exit",
    service: "web.cf",
    pid: 1,
    reason: "x",
    ranMs: 1,
  });
  await messages.find(
    "status",
    ({ status }: StatusMessage) => status.services[0].state === "degraded",
  );
  assertLess(performance.now() - began, 5_000);
});

Deno.test("viewers are told that the master is gone, and see the next one", async () => {
  using scene = new Scene();
  await using messages = new Messages(await scene.ask("events"));
  await messages.find("status");
  await scene.master.close();
  await messages.find("lost");
  scene.master.open();
  await messages.find("status");
});

Deno.test("nobody looks: no client waits for events, and the master is asked every few seconds", async () => {
  using scene = new Scene();
  {
    await using messages = new Messages(await scene.ask("events"));
    await eventually(() => scene.master.watchers === 1, { what: "the wait for events" });
    await messages.find("status");
  }
  await eventually(() => scene.master.watchers === 0, { what: "its end" });
});

Deno.test("a thousand viewers: some dozens are served, the others told to come later, and places become free", async () => {
  using scene = new Scene();
  const responses = await Promise.all(Array.from({ length: 1_000 }, () => scene.ask("events")));
  const served = responses.filter(({ status }) => status === 200);
  assertEquals(served.length, MOST_VIEWERS);
  for (const response of responses) {
    if (response.status === 200) continue;
    assertEquals([response.status, response.headers.get("retry-after")], [503, "10"]);
    await response.body?.cancel();
  }
  assertEquals((await scene.text("metrics"))[0], 200);
  const messages = served.map((response) => new Messages(response));
  await Promise.all(messages.map((one) => one.find("status")));
  assertLess(scene.master.asked, 10);
  for (const one of messages) await one[Symbol.asyncDispose]();
  await using after = new Messages(await scene.ask("events"));
  await after.find("status");
});

Deno.test("a stop ends the streams of all viewers, and admits no further one", async () => {
  using scene = new Scene();
  await using messages = new Messages(await scene.ask("events"));
  await messages.find("status");
  scene.server.stop();
  for (let message; (message = await messages.next()) !== undefined;) {
    assertEquals(message.event, "status");
  }
  const response = await scene.ask("events");
  assertEquals(response.status, 503);
  await response.body?.cancel();
});

Deno.test("Viewers keeps one message for a viewer that reads nothing, and ends its stream", async () => {
  const clock = new FakeClock(), viewers = new Viewers(clock);
  const sent = Promise.resolve(), stuck = viewers.add([], sent)!;
  const reads = new Messages(new Response(viewers.add([], sent)));
  for (let second = 0; second <= STALLED_MS / 1_000 + 1; second++) {
    viewers.publish({ event: "status", data: second });
    assertEquals((await reads.next())?.data, second);
    clock.advance(1_000);
  }
  assertEquals(viewers.count, 1);
  const kept = await new Response(stuck).text();
  assertEquals(kept, "retry: 1000\n\n");
  await reads[Symbol.asyncDispose]();
  assertEquals(viewers.count, 0);
});

Deno.test("streams that have ended but were not read count, so that their number has a bound", async () => {
  const viewers = new Viewers(new FakeClock());
  const unread = Promise.withResolvers<void>();
  let count = 0;
  for (let body; (body = viewers.add([], unread.promise)) !== undefined; count++) {
    await body.cancel();
  }
  assertEquals(count, 4 * MOST_VIEWERS);
  unread.reject(new Error("the client is gone"));
  await unread.promise.catch(() => {});
  const body = await eventually(() => viewers.add([], Promise.resolve()), { what: "a free place" });
  await body.cancel();
});

Deno.test("a status of three hundred processes in fifty services is shown whole", async () => {
  const services = Array.from({ length: 50 }, (_, index) =>
    serviceStatus(`s${index}.cf`, {
      processes: Array.from({ length: 6 }, (_, slot) => processStatus(index * 10 + slot, { slot })),
    }));
  using scene = new Scene(masterStatus(services));
  const began = performance.now(), [, text] = await scene.text("metrics");
  assertLess(performance.now() - began, 5_000);
  assertEquals(text.match(/^zc_process_cpu_seconds_total\{/gm)?.length, 300);
  await using messages = new Messages(await scene.ask("events"));
  const { status } = await messages.find("status") as { status: ReturnType<typeof masterStatus> };
  assertEquals(status.services.length, 50);
  assert(status.services.every(({ processes }) => processes.length === 6));
});

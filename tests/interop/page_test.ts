import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { Browser } from "../support/browser.ts";
import { MetricsSite } from "../support/metrics.ts";
import { Client } from "../support/client.ts";
import { eventually } from "../support/wait.ts";

/** How soon the page is to show a killed process. */
const SHOWN_MS = 2_000;
/** The pairs of processes between the killed one and the page: master, service and browser answer each other. */
const PAIRS = 3;

/** The row of the service, as an expression in the page. */
const WEB = `[...document.querySelectorAll("tr.service")]
  .find((row) => row.cells[0].textContent === "web.cf")`;

/** The name of a service that would run a script if it were taken for HTML. */
const EVIL = "<img src=x onerror=alert(1)>.cf";

Deno.test("the page in Chromium: processes, a reload, a killed server, darkness, a narrow screen, names as text, an upgrade, the end", async () => {
  await using site = new MetricsSite();
  const port = site.port();
  site.serve("web.cf", { mode: "coroutine", service: port, "server-proc-count": 2 });
  // A killed one is not started again, so that the page goes on showing why.
  site.serve(EVIL, { mode: "coroutine", service: site.port(), "server-start-limit": "1/1h" });
  const master = await site.start();
  await master.serving("web.cf", 2);
  const url = await site.url();
  await using browser = new Browser();
  await browser.run(async ({ page, until, arg }) => {
    await page.goto(arg);
    await page.waitForSelector('#live[data-state="ready"]');
    await until(`document.getElementById("state").textContent === "ready"`);
  }, url);

  // A click opens the processes of a service.
  const closed = await browser.run(({ page }) => page.isVisible("table.processes"));
  assertEquals(closed, false);
  const pids = await browser.run(async ({ page }) => {
    await page.click('button:has-text("web.cf")');
    await page.waitForSelector("table.processes tbody tr:nth-child(2)");
    return await page.evaluate(
      `[...document.querySelectorAll("tr.detail:not([hidden]) .processes tbody tr")]
         .map((row) => Number(row.cells[0].textContent))`,
    );
  }) as number[];
  assertEquals(pids.toSorted(), master.servers("web.cf").map(({ pid }) => pid).toSorted());
  const expanded = `document.querySelector("button[aria-expanded=true]")?.textContent`;
  assertEquals(await browser.run(({ page, arg }) => page.evaluate(arg), expanded), "web.cf");

  // A reload happens under the eyes of the page, which stays as it is.
  await master.reload();
  await browser.run(async ({ until, arg }) => {
    await until(
      `document.getElementById("changes").textContent.includes("1 committed")`,
    );
    await until(`!document.body.textContent.includes("${arg}")`);
    await until(
      `/Last reload .+ ago, after .+: reloaded\\./.test(document.getElementById("changes").textContent)`,
    );
  }, pids[0]);
  assertEquals(await browser.run(({ page, arg }) => page.evaluate(arg), expanded), "web.cf");

  // A killed server is shown at once.
  const [{ pid: victim }] = master.servers("web.cf");
  // The page notes the time by itself: the driver of the browser looks later.
  await browser.run(
    ({ page, arg }) => page.evaluate(arg),
    `void new MutationObserver((_changes, observer) => {
      if (!/SIGKILL/.test(${WEB}.textContent)) return;
      observer.disconnect();
      globalThis.shownAtMs = Date.now();
    }).observe(document.body, { subtree: true, childList: true })`,
  );
  // Meanwhile the test measures how long this machine takes for an exchange of two processes, which are neither the
  // master nor the service nor the page; the news goes through three such pairs.
  let exchangeMs = 0;
  const killedAtMs = Date.now();
  Deno.kill(victim, "SIGKILL");
  const shownAtMs = await eventually(async () => {
    const beganMs = Date.now();
    await browser.run(() => {});
    exchangeMs = Math.max(exchangeMs, Date.now() - beganMs);
    return await browser.run(({ page }) => page.evaluate("globalThis.shownAtMs")) as
      | number
      | null ??
      undefined;
  }, { what: "a killed server on the page" });
  assertLess(shownAtMs - killedAtMs, SHOWN_MS + PAIRS * exchangeMs);

  // Its own service is one of those that are shown, and connections reach the charts.
  {
    using _client = await Client.connect(port);
    await browser.run(
      ({ until, arg }) => until(arg),
      `[...${WEB}.querySelectorAll(".line")].every((line) => line.getAttribute("d").includes("L"))`,
    );
  }

  const colours = await browser.run(async ({ page }) => {
    const found: unknown[] = [];
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      found.push(await page.evaluate(`getComputedStyle(document.body).backgroundColor`));
    }
    return found;
  }) as string[];
  const [light, dark] = colours.map((colour) => Number(/\d+/.exec(colour)?.[0]));
  assert(light > 200 && dark < 60, `${colours}`);

  for (const width of [360, 768, 1280]) {
    const size = await browser.run(async ({ page, arg }) => {
      await page.setViewportSize({ width: arg, height: 800 });
      return await page.evaluate(`document.documentElement.scrollWidth`);
    }, width) as number;
    assert(size <= width, `${size} at a width of ${width}`);
  }

  // Names and messages are shown as text, whatever they hold.
  const [{ pid: evil }] = master.servers(EVIL);
  Deno.kill(evil, "SIGKILL");
  const shown = await browser.run(async ({ page }) => {
    await page.click("tr.service:first-child button");
    await page.waitForSelector("tr.service:first-child + tr.detail .problem:not(:empty)");
    return [
      await page.textContent("tr.service:first-child button"),
      await page.evaluate(`document.images.length`),
    ];
  });
  assertEquals(shown, [EVIL, 0]);

  const seen = await browser.run(({ seen }) => seen);
  assertEquals(seen.errors, []);
  assertEquals(seen.requests.filter((one) => !one.startsWith(url) && !one.startsWith("data:")), []);

  // The old server ends its stream at the soft stop, and the browser finds the new one.
  const before = await browser.run(({ page }) => page.textContent("#master"));
  assertMatch(before ?? "", /^Master \d+: serving for /);
  await master.upgrade();
  await browser.run(
    ({ until, arg }) =>
      until(`document.getElementById("master").textContent.startsWith("Master ${arg}:")`),
    master.pid,
  );

  // A reload that is under way, with what it waits for.
  site.serve("web.cf", { mode: "coroutine", service: port, "server-soak": "1h" });
  master.signal("SIGHUP");
  await browser.run(
    ({ until, arg }) => until(`/${arg}/.test(document.getElementById("changes").textContent)`),
    "^reload under way for .+, waiting for .*web.cf: process \\d+ ready for .* of 1 h \\(server-soak\\)",
  );
  await master.stop();
  await browser.run(async ({ page }) => {
    await page.waitForSelector("#lost:not([hidden])");
    await page.waitForSelector('#live[data-state="failed"]');
  });
});

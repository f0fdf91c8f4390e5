/**
 * Takes the screenshots in docs/ of the status page: a real master serves for as long as the charts are wide, with
 * waves of clients, a reload and a killed server.
 *
 * Run by `deno task screenshots`; it needs Chromium (docs/dependencies.md).
 *
 * @module
 */
import { MOST_POINTS, STEP_MS } from "../src/metrics/history.ts";
import { Browser } from "../tests/support/browser.ts";
import { Client } from "../tests/support/client.ts";
import { MetricsSite } from "../tests/support/metrics.ts";

/** Where the screenshots are, from the root. */
const FILES = { light: "docs/metrics_light.png", dark: "docs/metrics_dark.png" } as const;

const WIDTH = 1200, HEIGHT = 760;
const WINDOW_MS = STEP_MS * MOST_POINTS, TURN_MS = 250;

/** Keeps a number of clients connected that rises and falls. */
class Wave implements Disposable {
  readonly #port: number;
  readonly #most: number;
  readonly #clients: Client[] = [];

  constructor(port: number, most: number) {
    this.#port = port;
    this.#most = most;
  }

  async turn(passedMs: number): Promise<void> {
    const angle = passedMs / WINDOW_MS * 2 * Math.PI * (1 + this.#most / 20);
    const wanted = this.#most * (1.3 + Math.sin(angle)) / 2.3 + Math.random() * this.#most / 8;
    // The oldest one goes each time, so that connections are accepted all the time.
    this.#clients.shift()?.close();
    while (this.#clients.length > wanted) this.#clients.shift()?.close();
    while (this.#clients.length < wanted) {
      this.#clients.push(await Client.connect(this.#port));
    }
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}

await using site = new MetricsSite();
using waves = new DisposableStack();
const ports = { "web.cf": site.port(), "mail.cf": site.port(), "chat.cf": site.port() };
const [web, mail, chat] = Object.values(ports);
site.serve("web.cf", { mode: "coroutine", service: web, "server-proc-count": 3 });
site.serve("mail.cf", { mode: "aio", service: mail, "server-proc-count": 2 });
site.serve("chat.cf", { mode: "coroutine", service: chat, "server-standby-count": 1 });
const master = await site.start();
await master.serving("web.cf", 3);
const url = await site.url();
const load = [[web, 40], [mail, 12], [chat, 6]].map(([port, most]) =>
  waves.use(new Wave(port, most))
);
const startMs = performance.now();
let isReloaded = false, isKilled = false;
for (let passedMs = 0; passedMs < WINDOW_MS + 2 * STEP_MS;) {
  for (const wave of load) await wave.turn(passedMs);
  await new Promise((resolve) => setTimeout(resolve, TURN_MS));
  passedMs = performance.now() - startMs;
  if (!isReloaded && passedMs > WINDOW_MS * 0.55) {
    isReloaded = true;
    await master.reload();
  }
  if (!isKilled && passedMs > WINDOW_MS * 0.85) {
    isKilled = true;
    Deno.kill(master.servers("mail.cf")[0].pid, "SIGKILL");
  }
}
await using browser = new Browser();
for (const [colorScheme, file] of Object.entries(FILES)) {
  await browser.run(async ({ page, until, arg }) => {
    await page.setViewportSize({ width: arg.WIDTH, height: arg.HEIGHT });
    await page.emulateMedia({ colorScheme: arg.colorScheme as "light" });
    await page.goto(arg.url);
    await page.waitForSelector("tr.service");
    await page.click('button:has-text("web.cf")');
    await until(
      `document.querySelector("tr.detail:not([hidden]) .line").getAttribute("d")?.includes("L")`,
    );
    await page.screenshot({ path: arg.path, fullPage: true });
  }, { WIDTH, HEIGHT, url, colorScheme, path: new URL(`../${file}`, import.meta.url).pathname });
  console.log(file);
}

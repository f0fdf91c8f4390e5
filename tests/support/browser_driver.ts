/**
 * Drives Chromium for a test: each line of its input is a function as text with an argument, which it calls with the
 * page; each line of its output is the result.
 *
 * The test process does not import playwright-core itself: `deno.lock` would name it then, and every start of the
 * project would fetch it. `browser.lock` is the lock file of this program alone.
 *
 * @module
 */
const PACKAGE = "npm:playwright-core@1.65.1";

/** Chromium must reach nothing but the server, and needs no sandbox for a page of this project. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const WAIT_MS = 30_000, PAUSE_MS = 20;

const { chromium } = await import(PACKAGE);
const browser = await chromium.launch({ executablePath: Deno.args[0], args: FLAGS });
const context = await browser.newContext();
const page = await context.newPage();

/** What must not happen, and what was asked for, since the start. */
const seen = { errors: [] as string[], requests: [] as string[] };
page.on("console", (message: { type(): string; text(): string }) => {
  if (["error", "warning"].includes(message.type())) seen.errors.push(message.text());
});
page.on("pageerror", (error: Error) => seen.errors.push(String(error)));
context.on("request", (request: { url(): string }) => seen.requests.push(request.url()));

/** Asks in the page until it is true. Playwright's own wait evaluates text in the page, which its policy forbids. */
async function until(expression: string): Promise<void> {
  for (const endMs = performance.now() + WAIT_MS; performance.now() < endMs;) {
    if (await page.evaluate(expression)) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  const text = await page.evaluate("document.body.innerText");
  throw new Error(`Cannot wait longer for ${expression}; the page shows:\n${text}`);
}

async function answer(line: string): Promise<void> {
  const { body, arg } = JSON.parse(line);
  try {
    // The text is that of a function in a test of this project.
    const run = new Function(`return (${body})`)();
    const value = await run({ page, until, seen, arg });
    console.log(JSON.stringify({ value: value ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: String((error as Error)?.stack ?? error) }));
  }
}

console.log(JSON.stringify({ value: null }));
let text = "";
for await (const piece of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  text += piece;
  for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) {
    await answer(text.slice(0, end));
  }
}
await browser.close();

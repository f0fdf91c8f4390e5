/**
 * Chromium with one page, for tests of pages.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { startDeno, type TestProcess } from "./processes.ts";
import { within } from "./wait.ts";

const DRIVER = new URL("browser_driver.ts", import.meta.url).pathname;
const LOCK = new URL("browser.lock", import.meta.url).pathname;

/** Chromium as Debian installs it. */
const CHROMIUM = "/usr/bin/chromium";

/** Whether there is a browser. */
export function hasBrowser(): boolean {
  return existsSync(CHROMIUM);
}

/** A browser may take long to start on a busy machine. */
const START_MS = 120_000;

/** How long a call may take: longer than any wait in it. */
const RUN_MS = 60_000;

/** What is used of playwright's page. */
export interface Page {
  context(): { newPage(): Promise<Page>; pages(): Page[] };
  fill(selector: string, text: string): Promise<void>;
  goto(url: string): Promise<unknown>;
  click(selector: string): Promise<void>;
  textContent(selector: string): Promise<string | null>;
  isVisible(selector: string): Promise<boolean>;
  waitForSelector(selector: string): Promise<unknown>;
  evaluate(body: string): Promise<unknown>;
  setViewportSize(size: { readonly width: number; readonly height: number }): Promise<void>;
  emulateMedia(media: { readonly colorScheme: "light" | "dark" }): Promise<void>;
  screenshot(options: { readonly path: string; readonly fullPage?: boolean }): Promise<unknown>;
}

/** What a function in the browser's driver is given. */
export interface InBrowser<T> {
  readonly page: Page;
  /** Waits until an expression is true in the page. */
  readonly until: (expression: string) => Promise<void>;
  /** The errors and warnings on the console, and the addresses that were asked for. */
  readonly seen: { readonly errors: readonly string[]; readonly requests: readonly string[] };
  readonly arg: T;
}

/** A browser. Declare it with `await using`: it ends with the test. */
export class Browser implements AsyncDisposable {
  readonly #driver: TestProcess;
  readonly #ready: Promise<unknown>;

  constructor() {
    const flags = ["--no-config", "--no-prompt", "--frozen", `--lock=${LOCK}`];
    this.#driver = startDeno(["run", "-A", "--no-check", ...flags, DRIVER, CHROMIUM]);
    this.#ready = this.#answer(START_MS);
    this.#ready.catch(() => {});
  }

  /**
   * Calls a function in the driver. Its text is what travels: it sees only what it is given.
   *
   * @param body The function.
   * @param arg Its argument, as JSON.
   * @returns What it has returned, as JSON.
   */
  async run<T, R>(body: (given: InBrowser<T>) => R | Promise<R>, arg?: T): Promise<R> {
    await this.#ready;
    await this.#driver.write(`${JSON.stringify({ body: String(body), arg: arg ?? null })}\n`);
    return await this.#answer(RUN_MS) as R;
  }

  async #answer(withinMs?: number): Promise<unknown> {
    const [, line] = await this.#driver.prints(/(.*)\n/, withinMs);
    const { value, error } = JSON.parse(line);
    if (error !== undefined) throw new Error(error);
    return value;
  }

  /** Lets Chromium end by itself, so that it leaves no process behind. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await within(this.#ready, { what: "the browser", withinMs: START_MS });
      await this.#driver.closeInput();
      await this.#driver.ended();
    } catch {
      // It has not started, or does not end.
    }
    await this.#driver[Symbol.asyncDispose]();
  }
}

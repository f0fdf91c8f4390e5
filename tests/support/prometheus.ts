/**
 * Prometheus as Debian installs it, for tests: it scrapes one server, and is asked through its HTTP API.
 *
 * @module
 */
import { ReservedPort } from "./ports.ts";
import { TestProcess } from "./processes.ts";
import { TempDir } from "./temp.ts";
import { eventually } from "./wait.ts";

/** The path of an installed program. */
export const PROMETHEUS = "/usr/bin/prometheus", PROMTOOL = "/usr/bin/promtool";

/** The time between two scrapes, in milliseconds: short, but longer than the service lets a request wait for others. */
export const SCRAPE_MS = 500;

/** A series of a query: its labels, and its values in their order. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly { readonly atMs: number; readonly value: number }[];
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: {
    readonly result: readonly {
      readonly metric: Record<string, string>;
      readonly values?: readonly (readonly [number, string])[];
      readonly value?: readonly [number, string];
    }[];
  };
}

/** A running Prometheus. Declare it with `await using`. */
export class Prometheus implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly #port = new ReservedPort();
  readonly #process: TestProcess;

  /** @param target The host and port that it scrapes. */
  constructor(target: string) {
    const config = this.#dir.write(
      "prometheus.yml",
      `global: { scrape_interval: ${SCRAPE_MS}ms, scrape_timeout: ${SCRAPE_MS}ms }
scrape_configs:
  - { job_name: zc, static_configs: [{ targets: ["${target}"] }] }
`,
    );
    this.#process = new TestProcess([
      PROMETHEUS,
      `--config.file=${config}`,
      `--storage.tsdb.path=${this.#dir.file("data")}`,
      `--web.listen-address=127.0.0.1:${this.#port.port}`,
    ], { cwd: this.#dir.path });
  }

  /** Waits until it has scraped its target. */
  async scrapes(): Promise<void> {
    await this.until("up == 1", "the first scrape");
  }

  /**
   * Waits until a query has a result.
   *
   * @param query The query.
   * @param what What is waited for.
   */
  async until(query: string, what: string): Promise<void> {
    await eventually(async () => (await this.query(query)).length > 0, { what });
  }

  /**
   * Asks for the present values.
   *
   * @param query A query whose result is a vector, or a range such as `up[5m]`, which has every sample.
   */
  async query(query: string): Promise<Series[]> {
    const url = `http://127.0.0.1:${this.#port.port}/api/v1/query`;
    let response: Response;
    try {
      response = await fetch(url, { method: "POST", body: new URLSearchParams({ query }) });
    } catch {
      // It does not listen yet.
      return [];
    }
    if (response.status === 503) {
      await response.body?.cancel();
      return [];
    }
    const { status, error, data }: Answer = await response.json();
    if (status !== "success") throw new Error(`Cannot query ${query}: ${error}`);
    return data.result.map(({ metric, values, value }) => ({
      labels: metric,
      values: (values ?? [value!]).map(([at, text]) => ({
        atMs: at * 1000,
        value: Number(text),
      })),
    }));
  }

  /** All that it has complained of. */
  get log(): string {
    return this.#process.stderr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    this.#port[Symbol.dispose]();
    this.#dir[Symbol.dispose]();
  }
}

/**
 * Runs promtool with a text as its input.
 *
 * @param args Its arguments.
 * @param input The text.
 */
export async function promtool(args: readonly string[], input = ""): Promise<
  { readonly code: number; readonly output: string }
> {
  await using process = new TestProcess([PROMTOOL, ...args]);
  await process.write(input);
  await process.closeInput();
  const { code, stdout, stderr } = await process.ended();
  return { code, output: stdout + stderr };
}

/**
 * A load client in a process of its own, seen from the one who started it.
 *
 * @module
 */
import { startDeno, type TestProcess } from "../../tests/support/processes.ts";
import type { Progress } from "./load_client.ts";
import type { LoadPlan } from "./load_plan.ts";
import type { TallyReport } from "./tally.ts";

const CLIENT = new URL("load_client.ts", import.meta.url).pathname;

/** Between two looks at how far it has come. */
const LOOK_MS = 100;

/** How long the answers that are under way may take at the end. */
const FINISH_MS = 30_000;

/** A running load. Declare it with `await using`. */
export class LoadProcess implements AsyncDisposable {
  readonly #process: TestProcess;
  #reports?: Promise<TallyReport[]>;

  /** @param plan What it does, from now on. */
  constructor(plan: LoadPlan) {
    this.#process = startDeno(["run", "-A", CLIENT, JSON.stringify(plan)]);
  }

  /** How far it has come. */
  count(): Promise<Progress> {
    return this.#command("count");
  }

  /** See `Load.expectEnd`; fulfilled when it holds. */
  async expectEnd(): Promise<void> {
    await this.#command("expect-end");
  }

  /**
   * Waits until it has come so far.
   *
   * @param wanted Asked now and then.
   * @param options What is waited for, and how long at most.
   */
  async reaches(
    wanted: (progress: Progress) => boolean,
    { what, withinMs }: { readonly what: string; readonly withinMs: number },
  ): Promise<void> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const progress = await this.count();
      if (wanted(progress)) return;
      if (performance.now() > deadline) {
        throw new Error(
          `Cannot wait longer for ${what}: ${withinMs} ms have passed, ${JSON.stringify(progress)}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /**
   * Waits until each target has given some answers more in each way.
   *
   * @param count How many at least, since the start of the load.
   */
  async flows(count: number): Promise<void> {
    const what = `${count} answers of each target`;
    await this.reaches(({ least }) => least >= count, { what, withinMs: 30_000 });
  }

  /** Ends it when it has the answers that are under way; harmless the second time. */
  stop(): Promise<TallyReport[]> {
    this.#reports ??= this.#process.closeInput().then(() => this.#lastReports());
    return this.#reports;
  }

  /** Waits until all who ask have been refused, after {@linkcode expectEnd}. */
  parted(): Promise<TallyReport[]> {
    this.#reports ??= this.#lastReports();
    return this.#reports;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }

  async #command(command: string): Promise<Progress> {
    await this.#process.write(`${command}\n`);
    return JSON.parse(await this.#process.nextLine());
  }

  async #lastReports(): Promise<TallyReport[]> {
    const stdout = await this.#process.succeeds(FINISH_MS);
    return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
  }
}

/**
 * Processes for tests: Deno programs, functions of a test file run in a process of their own, and
 * other commands. All that such a process prints is kept; it ends with the test at the latest.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { within } from "./wait.ts";

/** How long the output of an ended process may stay open, held by children of it. */
const OUTPUT_LINGER_MS = 2_000;

/** How to start a process. */
export interface StartOptions {
  /** Its working directory; default that of the tests. */
  readonly cwd?: string;
  /** Variables beside the inherited ones. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * A command that the program and its arguments are appended to, and that replaces itself by it;
   * an example is {@linkcode withOpenFileLimit}.
   */
  readonly prefix?: readonly string[];
}

/** How a process ended, with all that it printed. */
export interface Ended {
  /** The exit code; 128 + signal number when a signal ended it. */
  readonly code: number;
  /** The signal that ended it, or null. */
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One output of a process, kept from its beginning. */
class Output {
  /** All that has come so far. */
  text = "";
  /** Fulfilled when no more will come. */
  readonly closed: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #seen = 0;
  #isClosed = false;
  #changed = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    this.closed = this.#collect();
  }

  /** Takes what matches, and all before it; rejects when the output closes without a match. */
  async take(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const changed = this.#changed.promise;
      const match = new RegExp(pattern, pattern.flags.replace("g", "")).exec(
        this.text.slice(this.#seen),
      );
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return match;
      }
      if (this.#isClosed) throw new Error(`Cannot find ${pattern}: the output has ended`);
      await changed;
    }
  }

  /** Takes no more, though somebody may still hold it open. */
  async abandon(): Promise<void> {
    await this.#reader.cancel();
    await this.closed;
  }

  async #collect(): Promise<void> {
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) this.#isClosed = true;
      else this.text += decoder.decode(value, { stream: true });
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
      if (done) return;
    }
  }
}

/** A running process. Declare it with `await using`: it is killed when the test ends. */
export class TestProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdout: Output;
  readonly #stderr: Output;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;

  /**
   * @param argv The program and its arguments.
   * @param options How to start it.
   */
  constructor(argv: readonly string[], { cwd, env, prefix = [] }: StartOptions = {}) {
    const [command, ...args] = [...prefix, ...argv];
    this.#child = new Deno.Command(command, {
      args,
      cwd,
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdout = new Output(this.#child.stdout);
    this.#stderr = new Output(this.#child.stderr);
    this.#stdin = this.#child.stdin.getWriter();
    // A process that ends while it is written to is told of by its status.
    this.#stdin.closed.catch(() => {});
  }

  /** Its id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** All of its standard output so far. */
  get stdout(): string {
    return this.#stdout.text;
  }

  /** All of its error output so far. */
  get stderr(): string {
    return this.#stderr.text;
  }

  /**
   * Waits until the standard output has a match behind those of earlier calls.
   *
   * @param pattern What to look for.
   * @param withinMs How long at most, in milliseconds.
   * @returns The match.
   * @throws {Error} When it does not come in time, or can't come any more.
   */
  prints(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray> {
    return this.#find(this.#stdout, pattern, withinMs);
  }

  /**
   * As {@linkcode prints}, in the error output.
   *
   * @param pattern What to look for.
   * @returns The match.
   * @throws {Error} When it does not come in time, or can't come any more.
   */
  complains(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#find(this.#stderr, pattern);
  }

  /**
   * Waits for the next line of the standard output.
   *
   * @returns The line without its end.
   * @throws {Error} When none comes.
   */
  async nextLine(): Promise<string> {
    return (await this.prints(/(.*)\n/))[1];
  }

  /**
   * Writes to its standard input.
   *
   * @param text What to write.
   */
  async write(text: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(text));
  }

  /** Closes its standard input, for which {@linkcode untilInputCloses} waits in the process. */
  async closeInput(): Promise<void> {
    await this.#stdin.close();
  }

  /**
   * Sends it a signal; nothing happens if it has ended.
   *
   * @param signal Which one.
   */
  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      // The runtime refuses once it has reaped the process.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /**
   * Waits for its end, which it must come to by itself.
   *
   * @param withinMs How long at most, in milliseconds.
   * @returns How it ended.
   * @throws {Error} When it is still running then.
   */
  async ended(withinMs?: number): Promise<Ended> {
    const what = () => this.#describe("the end of");
    const { code, signal } = await within(this.#child.status, { what, withinMs });
    await this.#closeOutput();
    return { code, signal, stdout: this.stdout, stderr: this.stderr };
  }

  /**
   * Waits for its end, and fails unless its exit code is 0.
   *
   * @param withinMs How long at most, in milliseconds.
   * @returns What it printed to its standard output.
   */
  async succeeds(withinMs?: number): Promise<string> {
    const { code, signal } = await this.ended(withinMs);
    assertEquals({ code, signal }, { code: 0, signal: null }, this.#describe(""));
    return this.stdout;
  }

  /** Kills it, if it is still running, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.#child.status;
    await this.#stdin.abort().catch(() => {});
    await this.#closeOutput();
  }

  /** Processes that it started itself may live on and hold the output open. */
  async #closeOutput(): Promise<void> {
    const outputs = [this.#stdout, this.#stderr];
    let timer: ReturnType<typeof setTimeout>;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, OUTPUT_LINGER_MS));
    const closed = Promise.all(outputs.map((output) => output.closed));
    await Promise.race([closed, late]).finally(() => clearTimeout(timer));
    await Promise.all(outputs.map((output) => output.abandon()));
  }

  async #find(output: Output, pattern: RegExp, withinMs?: number): Promise<RegExpExecArray> {
    const what = () => this.#describe(`${pattern} from`);
    try {
      return await within(output.take(pattern), { what, withinMs });
    } catch (cause) {
      throw new Error(`${(cause as Error).message} ${this.#describe("of")}`, { cause });
    }
  }

  #describe(what: string): string {
    return `${what} process ${this.pid}\n--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}\n---`;
  }
}

/**
 * Starts Deno.
 *
 * @param args Its arguments, such as `["run", "-A", "master.ts"]`.
 * @param options How to start it.
 * @returns The process.
 */
export function startDeno(args: readonly string[], options?: StartOptions): TestProcess {
  return new TestProcess([Deno.execPath(), ...args], options);
}

/** A value that can be passed to another process. */
export type Json = string | number | boolean | null | readonly Json[] | {
  readonly [key: string]: Json;
};

/**
 * Runs a function of a test file in a process of its own, with all permissions.
 *
 * The function's text is what travels: it sees its argument and the globals, and must import all
 * else by itself, with `await import("…")` relative to the test file.
 *
 * @param here `import.meta` of the test file.
 * @param body The function.
 * @param options Its argument, and how to start the process.
 * @returns The process, which ends when the function has returned and nothing is pending.
 *
 * @example
 * ```ts ignore
 * await using child = startFunction(import.meta, async (path) => {
 *   const { PidFile } = await import("../../src/os/process/lock_file.ts");
 *   console.log(PidFile.tryLock(path) !== undefined);
 * }, { arg: "/tmp/pid" });
 * await child.succeeds();
 * ```
 */
export function startFunction<T extends Json = null>(
  here: ImportMeta,
  body: (arg: T) => unknown,
  options: Omit<StartOptions, "cwd"> & { readonly arg?: T } = {},
): TestProcess {
  return startDeno(functionArgs(body, options.arg), { ...options, cwd: here.dirname });
}

/**
 * The arguments that make Deno run a function, in the folder of the file that it is from; see
 * {@linkcode startFunction}, which does all that.
 *
 * @param body The function.
 * @param arg Its argument.
 */
export function functionArgs<T extends Json>(body: (arg: T) => unknown, arg?: T): string[] {
  return ["eval", `await (${body})(${JSON.stringify(arg ?? null)});`];
}

/**
 * Waits, in a process that {@linkcode startFunction} made, until the test closes its input or is
 * gone itself: the way to stay for as long as the test needs it.
 */
export async function untilInputCloses(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
}

/**
 * A prefix that bounds how many descriptors the process may have open; see
 * {@linkcode StartOptions}. The runtime itself needs about 30.
 *
 * @param count The limit.
 */
export function withOpenFileLimit(count: number): string[] {
  return ["sh", "-c", `ulimit -n ${count}; exec "$@"`, "sh"];
}

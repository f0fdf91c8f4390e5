/**
 * One run of the benchmarks: its temporary folder, the processes that it starts, and their end.
 *
 * @module
 */
import { processesWith } from "../tools/test_processes.ts";
import { ReservedPort } from "../tests/support/ports.ts";
import { childrenOf, isRunning } from "./proc.ts";
import type { Tools } from "./tools.ts";

/** How long anything may take that should take no time. */
const PATIENCE_MS = 60_000;
/** How long a process may take to end by itself. */
const GRACE_MS = 5_000;
/** How often to look for what is awaited. */
const LOOK_MS = 2;
/** What ends a run at once, and the exit code then. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** How to start a process. */
export interface StartOptions {
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** The one CPU that it and its children may use; default all. */
  readonly cpu?: number;
}

/** Waits. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Waits until a condition holds.
 *
 * @param condition The condition; it may throw to give up.
 * @param options What is waited for, for the error, and how long at most.
 * @throws {Error} When the time is over.
 */
export async function until(
  condition: () => boolean,
  { what, withinMs = PATIENCE_MS }: { readonly what: string; readonly withinMs?: number },
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > end) {
      throw new Error(`Cannot wait longer for ${what}: ${withinMs} ms have passed`);
    }
    await sleep(LOOK_MS);
  }
}

/** A started contender's processes, and all that was made for them. */
export class Site {
  /** Its own temporary folder. */
  readonly dir: string;
  /** The port that it has to listen on. */
  readonly port: number;
  readonly #env: Readonly<Record<string, string>>;
  readonly #reserved = new ReservedPort();
  readonly #ready: string;
  readonly #mark = crypto.randomUUID();
  #child?: Deno.ChildProcess;
  /** How the first process has ended. */
  #ended?: Deno.CommandStatus;

  /**
   * @param parent Where to make its folder.
   * @param env Variables for all of its processes.
   */
  constructor(parent: string, env: Readonly<Record<string, string>>) {
    this.dir = Deno.makeTempDirSync({ dir: parent });
    this.#env = env;
    this.port = this.#reserved.port;
    this.#ready = `${this.dir}/ready`;
    Deno.mkdirSync(this.#ready);
  }

  /** Where the output of its processes goes. */
  get log(): string {
    return `${this.dir}/output`;
  }

  /** The process that was started by {@linkcode start}. */
  get pid(): number {
    return this.#child!.pid;
  }

  /** What its processes must find in their environment. */
  get env(): Record<string, string> {
    return {
      ...this.#env,
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      BENCH_SITE: this.#mark,
      BENCH_READY: this.#ready,
      BENCH_PORT: String(this.port),
    };
  }

  /**
   * Starts its first process.
   *
   * @param argv The program and its arguments.
   * @param options How.
   */
  start(argv: readonly string[], { env, cpu }: StartOptions = {}): void {
    const child = this.#child = this.#spawn(argv, { env, cpu });
    this.#ended = undefined;
    child.status.then((status) => {
      if (this.#child === child) this.#ended = status;
    });
  }

  /**
   * Runs a command of it to its end.
   *
   * @param argv The program and its arguments.
   * @param options How to start it.
   * @throws {Error} When it fails.
   */
  async run(argv: readonly string[], options: StartOptions = {}): Promise<void> {
    const { success } = await this.#spawn(argv, options).status;
    if (!success) throw new Error(`Cannot run "${argv.join(" ")}": ${this.output()}`);
  }

  /** The servers that have said that they listen, since the start: process ids, ended ones too. */
  ready(): number[] {
    return Array.from(Deno.readDirSync(this.#ready), ({ name }) => parseInt(name));
  }

  /**
   * Waits until so many servers have said that they listen, since the start.
   *
   * @param count How many.
   * @throws {Error} When they do not.
   */
  async untilReady(count: number): Promise<void> {
    const what = `${count} servers that listen`;
    await until(() => {
      if (this.ready().length >= count) return true;
      if (this.#ended === undefined) return false;
      const found = `the program has ended with code ${this.#ended.code}`;
      throw new Error(`Cannot wait for ${what}: ${found}; its output was: ${this.output()}`);
    }, { what: `${what}; the output was: ${this.output()}` });
  }

  /** The end of all that its processes have printed. */
  output(): string {
    try {
      return Deno.readTextFileSync(this.log).slice(-2000);
    } catch {
      // Nothing was started yet.
      return "";
    }
  }

  /**
   * Tells its first process to end, and waits for the end of all of them.
   *
   * @param graceMs How long they may take before they are killed.
   */
  async end(graceMs = GRACE_MS): Promise<void> {
    const end = performance.now() + graceMs;
    try {
      this.#child?.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
    for (let left = this.#processes(); left.length > 0; left = this.#processes()) {
      if (performance.now() > end) left.forEach(kill);
      await sleep(20);
    }
    await this.#child?.status;
    this.#reserved[Symbol.dispose]();
    await Deno.remove(this.dir, { recursive: true });
  }

  /** Ends all of its processes at once, and returns when none of them is left. */
  endNow(): void {
    for (let left = this.#processes(); left.length > 0; left = this.#processes()) {
      left.forEach(kill);
    }
  }

  /** Those with its mark, and the first process with its descendants: nginx writes its title over its environment. */
  #processes(): number[] {
    const marked = processesWith(`BENCH_SITE=${this.#mark}`).map(({ pid }) => pid);
    const first = this.#child?.pid;
    return [...new Set([...marked, ...first === undefined ? [] : familyOf(first)])];
  }

  #spawn(argv: readonly string[], { env, cpu }: StartOptions): Deno.ChildProcess {
    const pin = cpu === undefined ? [] : ["taskset", "-c", String(cpu)];
    return new Deno.Command("sh", {
      // The shell becomes the program; it is here for the output alone.
      args: ["-c", 'exec "$@" >>"$0" 2>&1', this.log, ...pin, ...argv],
      env: { ...this.env, ...env },
      cwd: this.dir,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }
}

/** A process and its descendants, if it runs. */
function familyOf(pid: number): number[] {
  return isRunning(pid) ? [pid, ...childrenOf(pid).flatMap(familyOf)] : [];
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

/**
 * What a run of the benchmarks has at hand. A signal that ends this process ends what the run has started first, and
 * removes what it has written.
 */
export class Bench implements AsyncDisposable {
  /** Where everything temporary is. */
  readonly dir: string = Deno.makeTempDirSync({ prefix: "zc_bench_" });
  /** Variables for all processes, beside those of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly #sites = new Set<Site>();
  readonly #onSignal = new Map<Deno.Signal, () => void>();

  /**
   * @param tools The programs of others.
   * @param pins Whether a server of one process gets a CPU of its own, and the client another.
   * @param options `ownCache`: whether what Deno keeps of the sources is temporary too.
   */
  constructor(
    readonly tools: Tools,
    readonly pins: boolean,
    { ownCache = false }: { readonly ownCache?: boolean } = {},
  ) {
    this.env = ownCache ? { DENO_DIR: `${this.dir}/deno_dir` } : {};
    for (const [signal, code] of Object.entries(SIGNALS) as [keyof typeof SIGNALS, number][]) {
      const end = () => this.#endNow(code);
      this.#onSignal.set(signal, end);
      Deno.addSignalListener(signal, end);
    }
  }

  /** Nothing else of this process runs meanwhile, which would go on with what is being removed. */
  #endNow(code: number): never {
    for (const site of this.#sites) site.endNow();
    Deno.removeSync(this.dir, { recursive: true });
    Deno.exit(code);
  }

  /** Makes a place for a contender. */
  site(): Site {
    const site = new Site(this.dir, this.env);
    this.#sites.add(site);
    return site;
  }

  /**
   * Ends all of a contender.
   *
   * @param site Its place.
   * @param graceMs How long its processes may take before they are killed.
   */
  async end(site: Site, graceMs?: number): Promise<void> {
    if (!this.#sites.has(site)) return;
    try {
      await site.end(graceMs);
    } finally {
      // Until now a signal would have had to end it.
      this.#sites.delete(site);
    }
  }

  /** Ends whatever still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const site of this.#sites) await this.end(site, 0);
    await Deno.remove(this.dir, { recursive: true });
    for (const [signal, end] of this.#onSignal) Deno.removeSignalListener(signal, end);
  }
}

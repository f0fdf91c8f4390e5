/**
 * What the kernel tells of a process that goes through a fault (proc(5)).
 *
 * @module
 */
import { Client, type Target } from "../../../tests/support/client.ts";

/** The clock ticks of proc_pid_stat(5) in a second; Linux tells programs of no other number. */
const TICKS = 100;

/**
 * The processor time of a process so far, in seconds.
 *
 * @param pid Whose.
 */
export function cpuSecondsOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** The memory of a process. */
export interface Memory {
  /** What is resident, in MiB. */
  readonly residentMiB: number;
  /** Its share of what is resident, in MiB. */
  readonly proportionalMiB: number;
}

/**
 * The memory of a process now.
 *
 * @param pid Whose.
 */
export function memoryOf(pid: number): Memory {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  const read = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]);
  return { residentMiB: read("Rss") / 1024, proportionalMiB: read("Pss") / 1024 };
}

/** Asks the same server again and again, on connections of its own, until it is told to end. */
export class Witness {
  /** How many answers there were. */
  answered = 0;
  /** The longest of them, in milliseconds. */
  longestMs = 0;
  /** What has failed, in words. */
  readonly failures: string[] = [];
  readonly #asking: Promise<void>;
  #running = true;

  /** @param target Whom it asks. */
  constructor(target: Target) {
    this.#asking = this.#ask(target);
  }

  /** Ends it, with the answer that is under way. */
  async end(): Promise<this> {
    this.#running = false;
    await this.#asking;
    return this;
  }

  async #ask(target: Target): Promise<void> {
    while (this.#running) {
      const startMs = performance.now();
      try {
        using client = await Client.connect(target);
        await client.line();
        const answer = await client.ask("echo here");
        if (answer !== "here") throw new Error(`the answer is ${answer}`);
        this.answered++;
        this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
      } catch (error) {
        this.failures.push(String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/**
 * Changes a limit of a running process (prlimit(1)).
 *
 * @param pid Whose.
 * @param limit Such as `nofile=64`.
 * @param options `prefix`: a command that runs another one as somebody else.
 */
export function setLimit(
  pid: number,
  limit: string,
  { prefix = [] }: { readonly prefix?: readonly string[] } = {},
): void {
  const [command, ...args] = [...prefix, "prlimit", "--pid", `${pid}`, `--${limit}`];
  const { success, stderr } = new Deno.Command(command, { args }).outputSync();
  if (!success) throw new Error(`Cannot set ${limit}: ${new TextDecoder().decode(stderr)}`);
}

/**
 * Finds the processes that a test run started, whoever their parent is by now: each carries a
 * variable of the run in its environment. It only looks, and ends nothing.
 *
 * @module
 */

/** One running process. */
export interface FoundProcess {
  /** Its id. */
  readonly pid: number;
  /** Its command line, with blanks between the arguments. */
  readonly command: string;
}

/**
 * Finds the running processes that were started with a variable in their environment. A process
 * that has ended and waits for its parent is none of them.
 *
 * Needs `--allow-read=/proc` and, for the processes of other users, to be root.
 *
 * @param mark The variable, as `NAME=VALUE`.
 * @param among The ids to look at; default all.
 * @returns The processes, by their ids; see proc_pid_environ(5).
 *
 * @example
 * ```ts
 * import { processesWith } from "./test_processes.ts";
 *
 * for (const { pid, command } of processesWith("RUN=7")) console.log(pid, command);
 * ```
 */
export function processesWith(mark: string, among = processIds()): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const pid of among) {
    try {
      if (!Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0").includes(mark)) continue;
      const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
      found.push({ pid, command });
    } catch {
      // It has ended since the folder was read, or belongs to somebody else.
    }
  }
  return found.sort((a, b) => a.pid - b.pid);
}

/** The ids of all running processes. */
export function processIds(): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Number.isInteger);
}

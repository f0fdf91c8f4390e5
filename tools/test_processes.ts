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
 * @returns The processes, by their ids; see proc_pid_environ(5).
 *
 * @example
 * ```ts
 * import { processesWith } from "./test_processes.ts";
 *
 * for (const { pid, command } of processesWith("RUN=7")) console.log(pid, command);
 * ```
 */
export function processesWith(mark: string): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (!Deno.readTextFileSync(`/proc/${name}/environ`).split("\0").includes(mark)) continue;
      const command = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim();
      found.push({ pid: Number(name), command });
    } catch {
      // It has ended since the folder was read, or belongs to somebody else.
    }
  }
  return found.sort((a, b) => a.pid - b.pid);
}

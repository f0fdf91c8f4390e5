/**
 * What the kernel tells of running processes (proc(5)).
 *
 * @module
 */

/** Memory of processes, in MB (2^20 bytes). */
export interface Memory {
  /** What is in memory of each, pages that they share counted for each. */
  readonly resident: number;
  /** The same with each shared page divided by the number of those that share it. */
  readonly proportional: number;
}

/**
 * The memory of processes, added up.
 *
 * @param pids Which ones; one that has ended counts nothing.
 */
export function memoryOf(...pids: readonly number[]): Memory {
  let resident = 0, proportional = 0;
  for (const pid of pids) {
    const text = read(`/proc/${pid}/smaps_rollup`);
    resident += Number(/^Rss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    proportional += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  }
  return { resident: resident / 1024, proportional: proportional / 1024 };
}

/**
 * How often the threads of a process have gone to sleep, and so have been woken up.
 *
 * @param pid Which one.
 */
export function wakeUpsOf(pid: number): number {
  let sum = 0;
  for (const thread of threadsOf(pid)) {
    const status = read(`/proc/${pid}/task/${thread}/status`);
    sum += Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return sum;
}

/**
 * The CPU time that processes have used, all threads that still run, in microseconds.
 *
 * @param pids Which ones; one that has ended counts nothing.
 */
export function cpuUsOf(...pids: readonly number[]): number {
  let ns = 0;
  for (const pid of pids) {
    for (const thread of threadsOf(pid)) {
      ns += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(" ")[0]);
    }
  }
  return ns / 1000;
}

/**
 * The children of a process that still run.
 *
 * @param pid The parent.
 */
export function childrenOf(pid: number): number[] {
  return threadsOf(pid).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean).map(Number)
  ).filter(isRunning);
}

/**
 * Whether a process runs; one that has ended and waits for its parent does not.
 *
 * @param pid Which one.
 */
export function isRunning(pid: number): boolean {
  const status = read(`/proc/${pid}/status`);
  return status !== "" && !/^State:\s*[ZX]/m.test(status);
}

function threadsOf(pid: number): string[] {
  try {
    return Array.from(Deno.readDirSync(`/proc/${pid}/task`), ({ name }) => name);
  } catch {
    // It has ended.
    return [];
  }
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // It has ended.
    return "";
  }
}

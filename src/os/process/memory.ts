/**
 * The memory use of another process (proc(5), smaps_rollup).
 *
 * @module
 */

/**
 * Returns the proportional set size of a process in bytes: its private memory and its share of memory that
 * it has in common with others, such as the program's text.
 *
 * Needs the right to inspect the process: the same user, or root.
 *
 * @throws {Error} When it can't be read.
 */
export function proportionalMemory(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  const kilobytes = /^Pss:\s*(\d+) kB$/m.exec(text)?.[1];
  if (kilobytes === undefined) throw new Error(`Cannot read the memory of process ${pid}: no Pss`);
  return Number(kilobytes) * 1_024;
}

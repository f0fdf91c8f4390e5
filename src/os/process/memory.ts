/**
 * How much memory another process uses (proc(5), smaps_rollup).
 *
 * @module
 */

/**
 * The proportional set size of a process: what it has for itself, and its share of what it has in
 * common with others, such as the program's text.
 *
 * Needs the right to look into the process: the same user, or root.
 *
 * @param pid Its id.
 * @returns Bytes.
 * @throws {Error} When it can't be read.
 */
export function proportionalMemory(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  const kilobytes = /^Pss:\s*(\d+) kB$/m.exec(text)?.[1];
  if (kilobytes === undefined) throw new Error(`Cannot read the memory of process ${pid}: no Pss`);
  return Number(kilobytes) * 1_024;
}

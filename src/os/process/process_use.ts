/**
 * The processor time and the memory of another process (proc(5), stat and status).
 *
 * @module
 */

import { readProc, statFields } from "./processes.ts";

/** What a process uses. */
export interface ProcessUse {
  /** Its processor time since its start, in milliseconds. */
  readonly cpuMs: number;
  /** Its resident memory in bytes. */
  readonly memoryBytes: number;
}

/** The clock ticks of the kernel's interface, which are hundredths of a second on every machine. */
const TICK_MS = 10;

/** The numbers of the fields utime and stime. */
const USER_TIME = 14, SYSTEM_TIME = 15;

/** What a process uses; undefined if it has ended. */
export function useOf(pid: number): ProcessUse | undefined {
  const stat = readProc(`${pid}/stat`), status = readProc(`${pid}/status`);
  if (stat === "" || status === "") return undefined;
  const fields = statFields(stat);
  const kilobytes = /^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1];
  return {
    cpuMs: (Number(fields[USER_TIME]) + Number(fields[SYSTEM_TIME])) * TICK_MS,
    memoryBytes: Number(kilobytes ?? 0) * 1024,
  };
}

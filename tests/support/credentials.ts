/**
 * Whom a process runs as, by what the system's own tools say.
 *
 * @module
 */
import { assert } from "@std/assert";

function output(command: string, args: readonly string[]): string {
  const { stdout } = new Deno.Command(command, { args: [...args] }).outputSync();
  return new TextDecoder().decode(stdout).trim();
}

/**
 * What id(1) says.
 *
 * @param args Its arguments; without a user among them it is about this process.
 */
export function id(...args: string[]): string {
  return output("id", args);
}

/**
 * A group's number.
 *
 * @param name The group.
 */
export function groupNumber(name: string): string {
  return output("getent", ["group", name]).split(":")[2];
}

/**
 * A user's line of passwd(5).
 *
 * @param name The user.
 */
export function passwd(name: string): string {
  return output("getent", ["passwd", name]);
}

/**
 * Looks at each thread of a process; one that has ended meanwhile is left out.
 *
 * @param pid The process.
 * @param look Takes a thread as `PID/task/TID`.
 */
export function forEachThread(pid: number, look: (thread: string) => void): void {
  let found = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    try {
      look(`${pid}/task/${name}`);
      found++;
    } catch (error) {
      // Its status could not be opened, or not be read (ESRCH).
      const hasEnded = error instanceof Deno.errors.NotFound ||
        /os error 3\b/.test((error as Error).message);
      if (!hasEnded) throw error;
    }
  }
  assert(found > 0, `process ${pid} has no thread`);
}

/**
 * A line of /proc/PID/status, its fields parted by one space.
 *
 * @param process A pid, or a thread as `PID/task/TID`.
 * @param name What the line begins with.
 */
export function statusLine(process: string | number, name: string): string {
  const status = Deno.readTextFileSync(`/proc/${process}/status`);
  return (new RegExp(`^${name}:\\s+(.*?)\\s*$`, "m").exec(status)?.[1] ?? "").replace(/\s+/g, " ");
}

/**
 * Whether a set of signals of a process has one, as proc_pid_status(5) shows it.
 *
 * @param pid The process.
 * @param set Such as `SigCgt`.
 * @param signal The number of the signal.
 */
export function hasSignal(pid: number, set: string, signal: number): boolean {
  return (BigInt(`0x${statusLine(pid, set)}`) >> BigInt(signal - 1) & 1n) === 1n;
}

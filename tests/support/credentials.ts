/**
 * Whom a process runs as, by what the system's own tools say.
 *
 * @module
 */

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
 * A line of /proc/PID/status, its fields parted by one space.
 *
 * @param process A pid, or a thread as `PID/task/TID`.
 * @param name What the line begins with.
 */
export function statusLine(process: string | number, name: string): string {
  const status = Deno.readTextFileSync(`/proc/${process}/status`);
  return (new RegExp(`^${name}:\\s+(.*?)\\s*$`, "m").exec(status)?.[1] ?? "").replace(/\s+/g, " ");
}

/**
 * Starting a program as systemd does: with listeners from descriptor 3 on, and LISTEN_PID, LISTEN_FDS
 * and LISTEN_FDNAMES in its environment. As a program of its own this file is what becomes the other.
 *
 * @module
 */
import { setCloseOnExec } from "../../src/os/fd/descriptor.ts";
import { exec } from "../../src/os/process/exec.ts";
import type { StartOptions } from "./processes.ts";

/** What a program is given at its start. */
export interface GivenDescriptor {
  /** A descriptor of the test, which stays open in it. */
  readonly fd: number;
  /** Its name. */
  readonly name?: string;
}

/** What differs from what systemd does. */
export interface ActivationOptions {
  /** Variables in place of the right ones. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Starts something with descriptors of this process.
 *
 * @param given The descriptors, in their order from 3 on.
 * @param start Starts the process with the options that it gets, before it returns or first awaits.
 * @param options What to get wrong.
 * @returns What `start` returns.
 */
export function startGiven<T>(
  given: readonly GivenDescriptor[],
  start: (options: Pick<StartOptions, "prefix">) => T,
  { env = {} }: ActivationOptions = {},
): T {
  const plan = JSON.stringify({
    fds: given.map(({ fd }, index) => ({ from: fd, to: 3 + index })),
    env: {
      LISTEN_PID: "{pid}",
      LISTEN_FDS: String(given.length),
      LISTEN_FDNAMES: given.map(({ name = "unknown" }) => name).join(":"),
      ...env,
    },
  });
  for (const { fd } of given) setCloseOnExec(fd, false);
  try {
    return start({
      prefix: [Deno.execPath(), "run", "-A", new URL(import.meta.url).pathname, plan],
    });
  } finally {
    for (const { fd } of given) setCloseOnExec(fd, true);
  }
}

if (import.meta.main) {
  const [plan, path, ...args] = Deno.args;
  exec({
    ...JSON.parse(plan),
    path,
    argv: [path, ...args],
    deathSignal: "SIGTERM",
    parent: Deno.ppid,
  });
}

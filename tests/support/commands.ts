/**
 * Commands such as `status`, run in the process of the test: what they print and their exit code without the
 * start of a process.
 *
 * @module
 */
import { runCommand } from "../../src/commands/dispatch.ts";
import type { Site } from "./master.ts";

/** The output of a command, and its exit code. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One after the other: they write to the one console of the process. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Runs a command here. It must be one that only talks to a master: `start --daemon` and `restart` without a
 * service start one with the command line of this process, and `logs` and `status --watch` go past the
 * console.
 *
 * @param args The command line.
 */
export function runHere(args: readonly string[]): Promise<Ran> {
  const ran = last.then(() => capture(args));
  last = ran.catch(() => {});
  return ran;
}

/**
 * Runs a command for a site here; see {@linkcode runHere}.
 *
 * @param site Whose master.
 * @param args The command and its arguments.
 */
export function zcHere(site: Site, ...args: readonly string[]): Promise<Ran> {
  return runHere([...args, "-C", site.conf, "-pid-file", site.pidFile]);
}

async function capture(args: readonly string[]): Promise<Ran> {
  const { log, error } = console;
  let out = "", err = "";
  console.log = (text) => out += `${text}\n`;
  console.error = (text) => err += `${text}\n`;
  try {
    const code = await runCommand(args, { hooks: {}, isOpen: false });
    return { code, out, err };
  } finally {
    Object.assign(console, { log, error });
  }
}

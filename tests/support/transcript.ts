/**
 * Transcripts of a terminal: the commands in them, a shell that runs these, and the comparison of what they print.
 *
 * @module
 */
import type { Site } from "./master.ts";
import type { TestProcess } from "./processes.ts";
import { PATIENCE_MS } from "./wait.ts";

/** What the shell prints after each command. */
const MARK = "<end of the command> ";

/** Lines that come only if something takes long, or is not in a cache yet. */
export const OCCASIONAL: RegExp = /^(waiting for|Download|Initialize) .*\n/gm;

/** A command of a transcript, and what the terminal shows after it. */
export interface Step {
  /** The command, as typed after `$`. */
  readonly command: string;
  /** The lines, with `(exit code N)` behind them if it is not 0. */
  readonly shown: string;
  /** Whether an empty line comes before it. */
  readonly isParted?: boolean;
}

/**
 * Reads a transcript.
 *
 * @param transcript Its text: each command begins with `$` and a space.
 * @returns Its commands in their order.
 */
export function stepsOf(transcript: string): Step[] {
  return `\n${transcript}`.split(/\n\$ /).slice(1).map((text, index, all) => {
    const [command, ...lines] = text.split("\n");
    return {
      command,
      shown: lines.join("\n").trimEnd(),
      isParted: all[index - 1]?.endsWith("\n") ?? false,
    };
  });
}

/** What differs from run to run, and what stands for it in a comparison. */
const VARYING: readonly (readonly [pattern: RegExp, text: string])[] = [
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)/g, "TIME"],
  [/\b\d+(\.\d+)? (ms|s|min)\b( \d+ s\b)?/g, "N s"],
  // As Deno writes them, such as (905µs) and (1m2s).
  [/\((\d+(µs|ms|s|m|h))+\)/g, "(N s)"],
  [/\b\d+(\.\d+)? [KM]iB\b/g, "N MiB"],
  [/(?<![\d.])\d+\.\d+\.\d+(?![\d.])/g, "N.N.N"],
  [/("atMs":)\d+/g, "$1N"],
  [/("key":")\d+-\d+/g, "$1N-N"],
  [/("pid":)\d+/g, "$1N"],
  [/("process\.pid":)\d+/g, "$1N"],
  [/\b(process|master|from) \d+/g, "$1 N"],
  [/\b(master|web)\[\d+\]/g, "$1[N]"],
  // The first column of the processes.
  [/^ *\d+(  +\w+\.cf )/gm, "N$1"],
  [/ {2,}/g, "  "],
];

/**
 * A step without what differs from run to run: process ids, times, sizes, versions, the width of columns, and lines
 * that come only if something takes long.
 *
 * @param step The step.
 * @returns Its text for a comparison.
 */
export function comparable({ command, shown }: Step): string {
  const usual = `${shown}\n`.replaceAll(OCCASIONAL, "");
  const same = VARYING.reduce((text, [pattern, to]) => text.replace(pattern, to), usual);
  return `$ ${command}\n${same}`;
}

/**
 * Starts a shell for the commands of a transcript.
 *
 * @param site Where.
 * @param env Its variables.
 */
export async function startShell(
  site: Site,
  env: Readonly<Record<string, string>>,
): Promise<TestProcess> {
  const shell = site.execute(["bash"], { env: { LC_ALL: "C", ...env } });
  await shell.write("exec 2>&1; umask 022\n");
  return shell;
}

/**
 * Gives a command to a shell, and waits for its end.
 *
 * @param shell The shell.
 * @param command The command.
 * @returns What the terminal shows, without the lines that come only now and then.
 */
export async function runInShell(shell: TestProcess, command: string): Promise<string> {
  await shell.write(`${command}\necho "${MARK}$?"\n`);
  const end = new RegExp(`^([^]*?)${MARK}(\\d+)\n`);
  // Deno checks the types of all the modules at its first start.
  const [, output, code] = await shell.prints(end, 5 * PATIENCE_MS);
  const shown = code === "0" ? output : `${output}(exit code ${code})\n`;
  return shown.replaceAll(OCCASIONAL, "").trimEnd();
}

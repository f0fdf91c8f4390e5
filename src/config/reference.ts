/**
 * The answer to `-help`, from the records of the settings.
 *
 * @module
 */

import { EX_CONFIG } from "./errors.ts";
import { argumentForm, isFlag } from "./setting.ts";
import { ALL_SETTINGS } from "./settings.ts";

const USAGE = {
  master: "master -C DIR | -config FILE.ini [-name VALUE | --flag]...",
  server: "server alone -server-service LIST [-name VALUE | --flag]...",
} as const;

/** An exit code, and its meaning. */
export type Exit = readonly [code: number, meaning: string];

/** The exit codes of the two programs. */
export const EXITS: Readonly<Record<keyof typeof USAGE, readonly Exit[]>> = {
  master: [
    [0, "stopped in order; after an upgrade in a container, as the new master"],
    [1, "it could not start, or with --try-lock another master runs"],
  ],
  server: [
    [0, "ended in order"],
    [1, "it could not start, or it has called zfatal"],
    [EX_CONFIG, "its settings are wrong: the master starts it again at the next reload"],
    [127, "its program could not be executed"],
  ],
};

const HELP_WIDTH = 78;
const HELP_INDENT = "      ";

/**
 * Writes the answer to `-help`.
 *
 * @param program Whose arguments to list.
 * @returns Plain text for a terminal, with a line end at its end.
 */
export function renderHelp(program: "master" | "server"): string {
  const lines = [`Usage: ${USAGE[program]}`, ""];
  for (const setting of ALL_SETTINGS) {
    if (!setting.scopes.includes(program)) continue;
    lines.push(`  ${argumentForm(setting)}`);
    const fallback = setting.fallback === undefined || isFlag(setting)
      ? ""
      : ` Default: ${setting.fallback}.`;
    lines.push(...wrap(setting.doc + fallback));
  }
  return [...lines, "", ...exitLines(EXITS[program])].join("\n") + "\n";
}

/** The lines about exit codes in a help text. */
export function exitLines(exits: readonly Exit[]): string[] {
  return [
    "Exit codes:",
    ...exits.map(([code, meaning]) => `${String(code).padStart(4)}  ${meaning}`),
  ];
}

export function wrap(text: string, indent: string = HELP_INDENT): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    if (line !== indent && line.length + word.length > HELP_WIDTH) {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += `${word} `;
  }
  lines.push(line.trimEnd());
  return lines;
}

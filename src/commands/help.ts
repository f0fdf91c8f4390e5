/**
 * The help of the command line, from the table of commands and the records of the settings.
 *
 * @module
 */
import { exitLines, renderHelp, wrap } from "../config/reference.ts";
import { COMMON_OPTIONS, usageOf } from "./call.ts";
import type { Command, CommandOption } from "./command.ts";
import { COMMANDS } from "./table.ts";

/** Where the arguments of every command are explained. */
const SETTINGS_HINT =
  "Every command takes the arguments of the master that say where it is: -C DIR, -config FILE, " +
  "-pid-file FILE, -master-control PATH.";

/**
 * The help of the program: all commands, then the arguments of the master.
 *
 * @param servers The names of the servers in the program.
 */
export function renderProgramHelp(servers: readonly string[] = []): string {
  const width = Math.max(...COMMANDS.map((command) => usageOf(command).length));
  return [
    "Usage: zc COMMAND [ARGUMENT...]",
    "       zc -C DIR [-NAME VALUE | --FLAG]...   as zc start",
    "",
    "Commands:",
    ...COMMANDS.map((command) => `  ${usageOf(command).padEnd(width)}  ${command.summary}`),
    "",
    "  zc COMMAND --help shows more about a command; zc --version the versions.",
    "",
    ...wrap(SETTINGS_HINT, ""),
    "",
    ...servers.length === 0 ? [] : [
      "Servers of this program, each for server-command = self NAME:",
      ...servers.map((name) => `  ${name} alone -server-service LIST  runs it by hand`),
      "",
    ],
    "Arguments of the master:",
    "",
    renderHelp("master").split("\n").slice(2).join("\n"),
  ].join("\n");
}

/** The help of a command. */
export function renderCommandHelp(command: Command): string {
  const { summary, details, options = [], exits } = command;
  const all = [...options, ...COMMON_OPTIONS];
  const width = Math.max(...all.map((option) => formOf(option).length));
  return [
    `Usage: zc ${usageOf(command)} [OPTION...] [-C DIR] [-pid-file FILE]`,
    "",
    `${summary}.`,
    ...(details === undefined ? [] : wrap(details, "")),
    "",
    "Options:",
    ...all.map((option) => `  ${formOf(option).padEnd(width)}  ${option.doc}`),
    "",
    ...exitLines(exits),
    "",
  ].join("\n");
}

function formOf({ name, short, value }: CommandOption): string {
  const letter = short === undefined ? "" : `-${short}, `;
  return `${letter}--${name}${value === undefined ? "" : ` ${value}`}`;
}

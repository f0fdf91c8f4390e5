/**
 * Takes the arguments of a command apart: its own options, the arguments of the master, and plain
 * arguments.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { settingName } from "../config/aliases.ts";
import { cannot, ConfigError } from "../config/errors.ts";
import { nearest } from "../config/nearest.ts";
import { isFlag, type Setting } from "../config/setting.ts";
import { ALL_SETTINGS } from "../config/settings.ts";
import { type MasterArguments, readArguments } from "../master/arguments.ts";
import type { Command, CommandCall, CommandOption } from "./command.ts";
import { directoryInsteadOf, isSettingsDirectory } from "./settings_directory.ts";

/** The options that every command has. */
export const COMMON_OPTIONS: readonly CommandOption[] = [
  { name: "help", short: "h", doc: "Show this help." },
];

/** A mistake in the arguments of a command. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const MASTER_SETTINGS: ReadonlyMap<string, Setting<unknown>> = new Map(
  ALL_SETTINGS.filter(({ scopes }) => scopes.includes("master")).map((one) => [one.name, one]),
);

/**
 * Parses the arguments behind the name of a command.
 *
 * @param command The command.
 * @param args The arguments.
 * @param rest The hooks of an embedding program, and all commands.
 * @throws {UsageError} With every mistake.
 */
export function parseCall(
  command: Command,
  args: readonly string[],
  rest: Pick<CommandCall, "hooks" | "commands">,
): CommandCall {
  const known = [...COMMON_OPTIONS, ...command.options ?? []];
  const { own, master, mistakes } = split(args, known);
  const negative = new Set<string>();
  const flags = known.filter(({ value }) => value === undefined);
  const valued = known.filter(({ value }) => value !== undefined);
  const parsed = parseArgs([...own], {
    boolean: flags.map(({ name }) => name),
    string: [...valued.map(({ name }) => name), "_"],
    alias: Object.fromEntries(known.flatMap(({ name, short }) => short ? [[short, name]] : [])),
    unknown: (arg, key) => {
      if (isNegative(arg)) {
        // Called for each digit.
        negative.add(arg);
        return false;
      }
      if (key !== undefined) mistakes.push(unknownOption(arg, known));
      return key === undefined;
    },
  });
  for (const { name, value } of valued) {
    if (parsed[name] !== "") continue;
    const found = negative.size > 0 ? "a negative number after it" : "no value after it";
    const about = { found, expected: `--${name} ${value}` };
    mistakes.push(cannot("read argument", `--${name}`, about));
  }
  const operands = [...parsed._.map(String), ...negative];
  // A call for help may lack arguments.
  if (!parsed.help) mistakes.push(...operandMistakes(command, operands));
  const read = mastersOf(master, mistakes);
  if (read === undefined || mistakes.length > 0) throw new UsageError(mistakes.join("\n"));
  const { parsed: settings, warnings } = read;
  return { operands, options: parsed, masterArgs: master, settings, warnings, ...rest };
}

/** What is wrong with the plain arguments, in one message at most. */
function operandMistakes(command: Command, operands: readonly string[]): string[] {
  const { name, count: [least, most] = [0, command.operands === undefined ? 0 : Infinity] } =
    command;
  const directory = operands.find(isSettingsDirectory);
  const isWrong = directory !== undefined || operands.length < least || operands.length > most;
  if (!isWrong) return [];
  const about = directory !== undefined
    ? directoryInsteadOf(directory, [name, ...operands.filter((one) => one !== directory)])
    : {
      found: operands.length < least ? "too few arguments" : "too many arguments",
      expected: usageOf(command),
    };
  return [cannot("run", [name, ...operands].join(" "), about)];
}

/** Reads the arguments of the master; adds what is wrong to the mistakes. */
function mastersOf(args: readonly string[], mistakes: string[]): MasterArguments | undefined {
  try {
    return readArguments(args, { isOpen: false });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    mistakes.push(error.message);
  }
}

/** How a command is called. */
export function usageOf({ name, operands }: Command): string {
  return [name, ...(operands === undefined ? [] : [operands])].join(" ");
}

/** Parts the master's arguments, `-name value`, from those of a command, and finds other forms of its options. */
function split(
  args: readonly string[],
  known: readonly CommandOption[],
): Record<"own" | "master" | "mistakes", string[]> {
  const own: string[] = [], master: string[] = [], mistakes: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i], name = arg.replace(/^--?/, "");
    const [base] = name.split("=", 1), setting = MASTER_SETTINGS.get(settingName(base));
    const isShort = /^-[a-z](=|$)/.test(arg);
    const isOfMaster = setting !== undefined || (arg.startsWith("-") && !arg.startsWith("--"));
    if (
      !arg.startsWith("-") || arg === "-" || isNegative(arg) ||
      (setting === undefined && isShort) || !isOfMaster
    ) {
      own.push(arg);
      continue;
    }
    const meant = setting === undefined ? optionFor(name, known) : undefined;
    if (meant !== undefined) {
      mistakes.push(cannot("read argument", arg, { found: NO_OPTION, expected: meant.form }));
      if (meant.takesValue) i++;
      continue;
    }
    master.push(arg);
    // Behind two dashes it is a mistake, which has its own message.
    const isValue = !arg.startsWith("--") || args[i + 1]?.startsWith("-") === false;
    const takesValue = isValue && base === name &&
      (setting === undefined || !isFlag(setting)) && i + 1 < args.length;
    if (takesValue) master.push(args[++i]);
  }
  return { own, master, mistakes };
}

const NO_OPTION = "no option has this name";

/** The form of the option that is meant by a name behind one dash: `json`, `n5`, `F`. */
function optionFor(
  name: string,
  known: readonly CommandOption[],
): { readonly form: string; readonly takesValue: boolean } | undefined {
  const [letter] = name, rest = name.slice(1);
  for (const option of known) {
    const takesValue = option.value !== undefined;
    if (name === option.name) return { form: formOf(option), takesValue };
    if (letter.toLowerCase() !== option.short) continue;
    if (takesValue && /^[0-9]+$/.test(rest)) {
      return { form: `-${option.short} ${rest}`, takesValue: false };
    }
    if (rest === "") return { form: `-${option.short}`, takesValue };
  }
}

const formOf = ({ name, value }: CommandOption): string =>
  `--${name}${value === undefined ? "" : ` ${value}`}`;

/** Whether an argument is a number, which no option is. */
const isNegative = (arg: string): boolean => /^-[0-9]+$/.test(arg);

function unknownOption(arg: string, known: readonly CommandOption[]): string {
  const [written] = arg.replace(/^--?/, "").split("=", 1);
  const forms = known.map(formOf);
  const meant = nearest(written, known.map(({ name }) => name));
  const master = nearest(written, MASTER_SETTINGS.keys());
  const expected = meant !== undefined
    ? `--${meant}`
    : master !== undefined
    ? `-${master}`
    : `one of ${forms.join(" ")}`;
  return cannot("read argument", arg, { found: NO_OPTION, expected });
}

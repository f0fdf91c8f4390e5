/**
 * The record of a command of the command line: its texts, its arguments, its options.
 *
 * @module
 */
import type { ParsedArguments } from "../config/args.ts";
import type { Problem } from "../config/errors.ts";
import type { Exit } from "../config/reference.ts";
import type { MasterServerHooks } from "../master/services/hooks.ts";

/** An option of a command. */
export interface CommandOption {
  /** The name, without dashes. */
  readonly name: string;
  /** A name of one letter. */
  readonly short?: string;
  /** The placeholder of its value; without it the option is a flag. */
  readonly value?: string;
  /** What it does, in one sentence. */
  readonly doc: string;
}

/** The values of a command's options. */
export type OptionValues = Readonly<Record<string, string | boolean | undefined>>;

/** A call of a command, taken apart. */
export interface CommandCall {
  /** The plain arguments. */
  readonly operands: readonly string[];
  readonly options: OptionValues;
  /** The arguments of the master, such as `-C conf`, as they were written. */
  readonly masterArgs: readonly string[];
  /** The same, parsed. */
  readonly settings: ParsedArguments;
  /** What is only suspicious in them. */
  readonly warnings: readonly Problem[];
  /** The hooks of an embedding program. */
  readonly hooks: MasterServerHooks;
  /** All commands. */
  readonly commands: readonly Command[];
}

/** The code of a command. */
export interface CommandModule {
  /**
   * Runs the command.
   *
   * @param call The call.
   * @returns The exit code.
   */
  run(call: CommandCall): Promise<number>;
}

/** A command of the command line. */
export interface Command {
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** More about it, in sentences. */
  readonly details?: string;
  /** How its plain arguments are written, such as `[SERVICE...]`. */
  readonly operands?: string;
  /** The least and the most plain arguments. */
  readonly count?: readonly [least: number, most: number];
  readonly options?: readonly CommandOption[];
  /** The meaning of each exit code. */
  readonly exits: readonly Exit[];
  /** Loads the code, which no other command needs. */
  load(): Promise<CommandModule>;
}

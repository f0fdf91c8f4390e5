/**
 * The command line of a master, checked and parsed once.
 *
 * @module
 */
import { parseArguments, type ParsedArguments } from "../config/args.ts";
import { checkArguments } from "../config/check_arguments.ts";
import { ConfigError, type Problem } from "../config/errors.ts";

/** The arguments of a master. */
export interface MasterArguments {
  readonly parsed: ParsedArguments;
  /** What is only suspicious in them. */
  readonly warnings: readonly Problem[];
}

/**
 * Checks and parses the command line of a master.
 *
 * @param args The arguments, without a command.
 * @param options `isOpen`: whether the embedding program may have arguments of its own.
 * @throws {ConfigError} With every mistake.
 */
export function readArguments(
  args: readonly string[],
  { isOpen }: { readonly isOpen: boolean },
): MasterArguments {
  const { problems, warnings } = checkArguments(args, { scope: "master", isOpen });
  if (problems.length > 0) throw new ConfigError(problems);
  return { parsed: parseArguments(args), warnings };
}

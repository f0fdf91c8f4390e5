/**
 * The dispatch of a command line that names a command.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import { nearest } from "../config/nearest.ts";
import { readArguments } from "../master/arguments.ts";
import { runMaster } from "../master/main.ts";
import { type MasterServerHooks, ownServerNames } from "../master/services/hooks.ts";
import { parseCall, UsageError } from "./call.ts";
import { EXIT, fail } from "./connect.ts";
import { renderCommandHelp, renderProgramHelp } from "./help.ts";
import { directoryInsteadOf, isSettingsDirectory } from "./settings_directory.ts";
import { COMMANDS } from "./table.ts";
import { versionLines } from "./version.ts";

/**
 * Runs the command that the first argument names.
 *
 * @param args The command line.
 * @param options `isOpen`: whether the embedding program may have arguments of its own.
 * @returns The exit code.
 */
export async function runCommand(
  args: readonly string[],
  { hooks, isOpen }: { readonly hooks: MasterServerHooks; readonly isOpen: boolean },
): Promise<number> {
  const [name, ...rest] = args;
  if (["-V", "--version", "version"].includes(name)) return show(versionLines().join("\n"));
  if (["-h", "-help", "--help"].includes(name)) {
    return show(renderProgramHelp(ownServerNames(hooks)));
  }
  if (name === "help" && rest.length === 0) return show(renderProgramHelp(ownServerNames(hooks)));
  const asksHelp = name === "help", wanted = asksHelp ? rest[0] : name;
  const command = COMMANDS.find((one) => one.name === wanted);
  if (command === undefined) {
    if (isOpen && !asksHelp) return await runMaster(hooks, readArguments(args, { isOpen }));
    const names = [...COMMANDS.map((one) => one.name), ...ownServerNames(hooks) ?? []];
    // A word that someone has not typed to its end is no slip.
    const begun = names.filter((one) => one.startsWith(wanted)).join(" or ");
    const meant = begun || nearest(wanted, names);
    const about = isSettingsDirectory(wanted) ? directoryInsteadOf(wanted, ["start"]) : {
      found: "no command has this name",
      expected: meant || `one of ${names.join(" ")}, or -C DIR`,
    };
    return fail(cannot(asksHelp ? "help with" : "run", wanted, about), EXIT.usage);
  }
  if (asksHelp) {
    if (rest.length === 1) return show(renderCommandHelp(command));
    const about = { found: "too many arguments", expected: `help ${command.name}` };
    return fail(cannot("run", args.join(" "), about), EXIT.usage);
  }
  try {
    const call = parseCall(command, rest, { hooks, commands: COMMANDS });
    if (call.options.help) return show(renderCommandHelp(command));
    const { run } = await command.load();
    return await run(call);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return fail(`${error.message}\nzc ${command.name} --help shows the usage`, EXIT.usage);
  }
}

function show(text: string): number {
  console.log(text.trimEnd());
  return EXIT.ok;
}

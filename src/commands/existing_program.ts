/**
 * The program in a folder that `init` can write settings for: one that knows nothing of a master.
 *
 * @module
 */
import { Config } from "../config/config.ts";
import type { Problem } from "../config/errors.ts";
import { parseServiceConfig } from "../config/service.ts";
import { type ProgramPlace, type View, viewFrom } from "../master/services/program_lookup.ts";
import { ServiceResolver } from "../master/services/resolve.ts";
import { fileOfTask } from "../master/services/tasks.ts";
import {
  addressCallIn,
  exportsApplication,
  namesFramework,
} from "../master/services/unchanged_program.ts";
import { isScriptFile } from "../master/services/wrappers.ts";

/** A program, and what would prevent its start. */
export interface ExistingProgram {
  /** The settings of its service. */
  readonly settings: Readonly<Record<string, string>>;
  readonly problems: readonly Problem[];
  /** Why the start task, which may set more for the program, is not run in place of it. */
  readonly passedOver?: Problem;
}

/** How a project starts its server by itself. */
const TASK = "start", RUN_TASK = `deno task ${TASK}`;

/** The usual names of a main module, the most usual first. */
const MAIN_MODULES: readonly string[] = ["", "src/"].flatMap((folder) =>
  ["main", "server", "app", "index", "mod"].flatMap((name) =>
    ["ts", "tsx", "js", "mjs"].map((ending) => `${folder}${name}.${ending}`)
  )
);

/**
 * Looks for a program in the working directory.
 *
 * @param place The working directory, and how to look.
 * @returns The first one that can be started, else the first one; undefined where there is none.
 * @throws {TypeError} When a file with tasks can't be read.
 */
export function existingProgram(place: ProgramPlace): ExistingProgram | undefined {
  const view = viewFrom({}, place);
  const commands = MAIN_MODULES.filter((path) => isServer(textOf(path, view)));
  // A task says how the program is started, with its flags and permissions.
  if (fileOfTask(TASK, view) !== undefined) commands.unshift(RUN_TASK);
  const programs = commands.map((command) => examine(command, place))
    .filter((program) => program !== undefined);
  const chosen = programs.find(({ problems }) => problems.length === 0) ?? programs[0];
  const [first] = programs;
  const isPassedOver = chosen !== first && first.settings["server-command"] === RUN_TASK;
  return isPassedOver ? { ...chosen, passedOver: first.problems[0] } : chosen;
}

/** Whether the text of a script is that of a server which knows nothing of a master. */
function isServer(text: string): boolean {
  return addressCallIn(text) !== undefined || exportsApplication(text) && !namesFramework(text);
}

function textOf(path: string, view: View): string {
  return view.isFile(path) ? view.programText(path) ?? "" : "";
}

/** Looks a command up as a start would; undefined for a program of this framework. */
function examine(command: string, place: ProgramPlace): ExistingProgram | undefined {
  const settings = {
    "server-command": command,
    "server-protocol": "deno",
    "server-service": "127.0.0.1:8080",
    "server-proc-count": "2",
  };
  const config = new Config();
  for (const [key, value] of Object.entries(settings)) config.set(key, value);
  const resolver = new ServiceResolver(place), { cwd } = place;
  const { service, problems } = parseServiceConfig(config, {
    ...{ id: "web.cf", cwd },
    check: resolver.check,
  });
  if (service === undefined || problems.length > 0) return { settings, problems };
  const { inner, view } = resolver.located(service);
  const main = inner.args.find((word) => !word.startsWith("-") && isScriptFile(word));
  if (main !== undefined && namesFramework(textOf(main, view))) return undefined;
  return { settings, problems };
}

/**
 * Commands that Deno runs without being named in them: tasks, programs of node, runners of npm packages; and whether
 * their program knows nothing of its master.
 *
 * @module
 */
import { splitCommand } from "../../config/command.ts";
import { cannot } from "../../config/errors.ts";
import { firstWordOf } from "../../config/permissions.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { type View, viewIn } from "./program_lookup.ts";
import { pathIn, taskCommand, upwards } from "./tasks.ts";
import { exportsApplication, namesFramework } from "./unchanged_program.ts";
import { baseName, denoOfRunner, directoryOfEnv, isScriptFile, unwrapEnv } from "./wrappers.ts";

/** How many tasks may name one another. */
const MOST_TASKS = 16;

/** The command from `deno` on, if it would run npm's package of that name. */
export function denoCommand(
  [word, ...args]: readonly string[],
  view: View,
): readonly string[] | undefined {
  const isShim = baseName(word) === "deno" && /\bnode\b/.test(view.interpreterLine(word));
  return isShim ? ["deno", ...args] : denoOfRunner([word, ...args], view.denoVersion);
}

/** A command without tasks. */
export interface WithoutTasks {
  /** The command, in which each task is replaced by its own. */
  readonly command: readonly string[];
  /** The files that the tasks are in. */
  readonly taskFiles: readonly string[];
  /** Where they were looked for. */
  readonly searched: readonly string[];
}

/** Replaces the tasks in the command of a service. */
export function withoutTasks({ command, protocol }: ServiceConfig, view: View): WithoutTasks {
  const taskFiles: string[] = [], searched: string[] = [];
  if (protocol !== "auto" && protocol !== "deno") return { command, taskFiles, searched };
  for (let current = command; taskFiles.length <= MOST_TASKS;) {
    const { prefix, steps, words } = unwrapEnv(current, splitCommand);
    const inside = viewIn(view, directoryOfEnv(steps));
    const task = taskCommand(denoCommand(words, view) ?? words, inside);
    if (task === undefined) return { command: current, taskFiles, searched };
    taskFiles.push(task.file);
    searched.push(...task.directories);
    current = joinEnv(prefix, task.words);
  }
  const about = { found: "tasks that run one another", expected: "the command of a program" };
  throw new TypeError(cannot("run", command.join(" "), about));
}

/** Makes one `env` of the one before a task and the one in it. */
function joinEnv(prefix: readonly string[], words: readonly string[]): readonly string[] {
  const [env, first] = words;
  if (prefix.length === 0 || baseName(env) !== "env") return [...prefix, ...words];
  if (/^[A-Za-z_]\w*=/.test(first)) return [...prefix, ...words.slice(1)];
  throw new TypeError(cannot("run", words.join(" "), {
    found: `env in a task, behind ${prefix.join(" ")}`,
    expected: "variables alone in the task, or the command of the task",
  }));
}

/** The script of node that a command runs, with its arguments; undefined for another command. */
export function scriptOfNode(
  [word, ...args]: readonly string[],
  view: View,
): { readonly words: readonly string[]; readonly searched: readonly string[] } | undefined {
  if (baseName(word) === "node") {
    const [script, ...rest] = args;
    const file = ["", ".js", ".mjs", ".cjs", "/index.js"].map((end) => `${script}${end}`)
      .find((path) => view.isFile(path));
    if (file !== undefined) return { words: [file, ...rest], searched: [] };
    const found = script?.startsWith("-") ? `${script}, a flag of node` : "no such script";
    const expected = "node and a script, or a command of Deno";
    throw new TypeError(cannot("run", [word, ...args].join(" "), { found, expected }));
  }
  if (word.includes("/") || isScriptFile(word)) return undefined;
  const searched: string[] = [];
  for (const directory of upwards(view.pathOf("."))) {
    searched.push(directory);
    const path = pathIn(directory, `node_modules/.bin/${word}`);
    if (view.isFile(path)) {
      return { words: [view.changesRoot ? path : view.realPath(path), ...args], searched };
    }
  }
  return undefined;
}

/** A program as it is run. */
interface FoundProgram {
  readonly path: string;
  readonly args: readonly string[];
}

/** The text of the main module of a program; undefined where it is no file that can be read. */
export function mainText(
  script: string | undefined,
  { args: [subcommand, ...rest] }: FoundProgram,
  view: View,
): string | undefined {
  const main = script ?? (subcommand === "run" ? firstWordOf(rest) : undefined);
  return main !== undefined && isScriptFile(main) && view.isFile(main)
    ? view.programText(main)
    : undefined;
}

/**
 * Whether a program knows nothing of its master.
 *
 * @param service Its service.
 * @param about `text`: see {@linkcode mainText}. `script`: the script, if the command names one alone. `isTask`:
 * whether the command names a task.
 * @throws {TypeError} When the settings say so of a program that Deno does not run.
 */
export function isUnchanged(
  { protocol, command }: ServiceConfig,
  { found: { path, args: [subcommand] }, view, text, script, isTask }: {
    readonly found: FoundProgram;
    readonly view: View;
    readonly text: string | undefined;
    readonly script: string | undefined;
    readonly isTask: boolean;
  },
): boolean {
  const isRun = path === view.denoPath || baseName(path) === "deno";
  const canBe = isRun && (subcommand === "run" || subcommand === "serve");
  if (protocol === "deno") {
    if (canBe) return true;
    throw new TypeError(cannot("run", command.join(" "), {
      found: "a program that Deno does not run, with server-protocol = deno",
      expected: "a script, deno run, deno serve, or a task of one of these",
    }));
  }
  if (protocol !== "auto" || !canBe) return false;
  if (subcommand === "serve") return true;
  if (text === undefined || (script === undefined && !isTask)) return isTask;
  return !namesFramework(text) && (isTask || exportsApplication(text));
}

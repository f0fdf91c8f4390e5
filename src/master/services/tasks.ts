/**
 * Commands that name a task of `deno.json` or a script of `package.json`: the command that such a task runs, since a
 * task runner passes no sockets on.
 *
 * @module
 */
import { parse } from "@std/jsonc/parse";
import { resolvePath } from "../../config/address.ts";
import { shellOperator, splitCommand } from "../../config/command.ts";
import { cannot } from "../../config/errors.ts";
import { baseName } from "./wrappers.ts";

/** What this uses of the file system of a service. */
export interface TaskFiles {
  isFile(path: string): boolean;
  /** Resolves a path of the service's processes. */
  pathOf(path: string): string;
  /** Reads a file; undefined where it can't be read. */
  programText(path: string): string | undefined;
}

/** A task that a command names. */
interface TaskName {
  readonly name: string;
  /** What is passed on to the command of the task. */
  readonly args: readonly string[];
  /** Whether the tasks of `deno.json` count. */
  readonly isDeno: boolean;
  /** An option of the runner that may change which task it runs, or where. */
  readonly option?: string;
}

/** A command of a task. */
export interface TaskCommand {
  /** The words, from the program on, with variables before it. */
  readonly words: readonly string[];
  /** The file that the task is in. */
  readonly file: string;
  /** Where the task was looked for. */
  readonly directories: readonly string[];
}

/** The runners of scripts, with the words before the name of a script. */
const RUNNERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["npm", ["run", "run-script", "rum", "urn"]],
  ["pnpm", ["run", "run-script"]],
  ["yarn", ["run"]],
]);

/** The scripts that need no such word. */
const SHORT = ["start"];

/** The options of a runner that change nothing of what it runs. */
const SILENT = /^(?:-s|-q|--silent|--quiet|--loglevel=.*)$/;

/** The most characters of a task, and of the file that it is in: both may be another user's. */
const LONGEST_TASK = 8_192, LONGEST_FILE = 1 << 20;

/** What a shell would interpret in a word of a task, beside what {@linkcode shellOperator} finds. */
const OF_SHELL = /[$`*\n;&|<>()]|(?<=^|\s)[~#]/;

/**
 * Finds the task that a command runs.
 *
 * @param words The command, without `env`.
 * @param files The files.
 * @returns Its command; undefined for a command that runs no task.
 * @throws {TypeError} When there is no such task, or a shell would be needed to run it.
 */
export function taskCommand(words: readonly string[], files: TaskFiles): TaskCommand | undefined {
  const task = taskIn(words);
  if (task === undefined) return undefined;
  const refuse = (found: string, expected: string): never => {
    throw new TypeError(cannot("run the task", task.name, { found, expected }));
  };
  if (task.option !== undefined) {
    refuse(`the option ${task.option}`, "env -C DIR and the task, or the command of the task");
  }
  const { task: found, directories } = findTask(task, files);
  const { text, file, other } = found ?? refuse(
    `none of this name in ${task.isDeno ? "deno.json or package.json" : "package.json"}`,
    `one beside or above ${files.pathOf(".")}`,
  );
  const directory = file.slice(0, file.lastIndexOf("/")) || "/";
  if (directory !== directories[0]) {
    refuse(`it in ${file}, whose folder its runner changes to`, `master-chdir = ${directory}`);
  }
  if (other !== undefined) {
    return refuse(`"${other}" in ${file}, which runs with it`, "the command of the task alone");
  }
  if (text.length > LONGEST_TASK) {
    const found = `${text.length} characters in ${file}`;
    return refuse(found, `a task of ${LONGEST_TASK} at most`);
  }
  const operator = shellOperator(text) ?? OF_SHELL.exec(text)?.[0];
  if (operator !== undefined) {
    return refuse(
      `"${text}" in ${file}, with "${operator}" of a shell`,
      "a task of one program, or the command of the server itself",
    );
  }
  const all = splitCommand(text), count = all.findIndex((word) => !/^[A-Za-z_]\w*=/.test(word));
  if (count < 0) return refuse(`"${text}" in ${file}, which is no program`, "a program");
  return { words: [...(count > 0 ? ["env"] : []), ...all, ...task.args], file, directories };
}

/**
 * Finds a task of the working directory itself.
 *
 * @returns The file that it is in; undefined without one.
 * @throws {TypeError} When such a file is no JSON.
 */
export function fileOfTask(name: string, files: TaskFiles): string | undefined {
  const directory = files.pathOf(".");
  return (inDenoJson(name, directory, files) ?? inPackageJson(name, directory, files))?.file;
}

function taskIn([program, ...words]: readonly string[]): TaskName | undefined {
  const runner = baseName(program), isDeno = runner === "deno" && words[0] === "task";
  const verbs = isDeno ? ["task"] : RUNNERS.get(runner);
  if (verbs === undefined) return undefined;
  const options: string[] = [];
  const next = (from: number) => {
    const count = words.slice(from).findIndex((word) => !word.startsWith("-"));
    const end = count < 0 ? words.length : from + count;
    options.push(...words.slice(from, end));
    return end;
  };
  const verb = next(0);
  const at = verbs.includes(words[verb])
    ? next(verb + 1)
    : SHORT.includes(words[verb]) && !isDeno
    ? verb
    : words.length;
  if (at === words.length) return undefined;
  const args = words.slice(at + 1);
  return {
    name: words[at],
    args: !isDeno && args[0] === "--" ? args.slice(1) : args,
    isDeno,
    option: options.find((option) => option !== "--" && !SILENT.test(option)),
  };
}

/** The text of a task, and another one that its runner runs before or after it. */
interface FoundTask {
  readonly text: string;
  readonly file: string;
  readonly other?: string;
}

/** A directory, and each one above it. */
export function* upwards(from: string): Generator<string> {
  for (let directory = from;; directory = resolvePath(directory, "..")) {
    yield directory;
    if (directory === "/") return;
  }
}

/** The path of a file in a directory. */
export function pathIn(directory: string, name: string): string {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}

/** Looks in the working directory and above it, as the runners do. */
function findTask(
  task: TaskName,
  files: TaskFiles,
): { readonly task?: FoundTask; readonly directories: readonly string[] } {
  const directories: string[] = [];
  for (const directory of upwards(files.pathOf("."))) {
    directories.push(directory);
    const found = (task.isDeno ? inDenoJson(task.name, directory, files) : undefined) ??
      inPackageJson(task.name, directory, files);
    if (found !== undefined) return { task: found, directories };
  }
  return { directories };
}

function inDenoJson(name: string, directory: string, files: TaskFiles): FoundTask | undefined {
  for (const base of ["deno.json", "deno.jsonc"]) {
    const file = pathIn(directory, base);
    const task = fieldsIn(readFields(file, files)?.tasks)?.[name];
    if (typeof task === "string") return { text: task, file };
    const fields = fieldsIn(task);
    if (fields === undefined) continue;
    const [other] = Array.isArray(fields.dependencies) ? fields.dependencies : [];
    const text = typeof fields.command === "string" ? fields.command : "";
    return { text, file, ...(other !== undefined && { other: String(other) }) };
  }
  return undefined;
}

function inPackageJson(name: string, directory: string, files: TaskFiles): FoundTask | undefined {
  const file = pathIn(directory, "package.json");
  const scripts = fieldsIn(readFields(file, files)?.scripts), text = scripts?.[name];
  if (typeof text !== "string") return undefined;
  const other = [`pre${name}`, `post${name}`].find((one) => one in scripts!);
  return { text, file, ...(other !== undefined && { other }) };
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsIn(value: unknown): Fields | undefined {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? value as Fields : undefined;
}

/** The content of a file; undefined without one. */
function readFields(file: string, files: TaskFiles): Fields | undefined {
  if (!files.isFile(file)) return undefined;
  const refuse = (found: string, cause?: unknown): never => {
    throw new TypeError(cannot("read", file, { found, expected: "JSON with the tasks" }), {
      cause,
    });
  };
  const text = files.programText(file);
  if (text === undefined) return refuse("a file that this master may not read");
  if (text.length > LONGEST_FILE) return refuse(`more than ${LONGEST_FILE} characters`);
  try {
    return fieldsIn(parse(text));
  } catch (error) {
    return refuse((error as Error).message, error);
  }
}

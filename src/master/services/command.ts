/**
 * Resolves a `server-command`: the program's path, how it is run, and which protocol it speaks.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { splitCommand } from "../../config/command.ts";
import { cannot } from "../../config/errors.ts";
import { flagsOf, grantsFfi } from "../../config/permissions.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { ServerProtocol } from "../../config/settings.ts";
import { encodeText } from "../../os/ffi/byte_text.ts";
import type { Program } from "../policy/resolved_service.ts";
import { taskCommand } from "./tasks.ts";
import {
  addressCallIn,
  exportsApplication,
  namesFramework,
  nodeArguments,
  unchangedArguments,
  type UnchangedProgram,
} from "./unchanged_program.ts";
import { ownServerArgument, SELF } from "../../config/own_server.ts";
import { type ProgramPlace, type View, viewFrom, viewIn } from "./program_lookup.ts";
import { requireOwnServer, type SelfProgram } from "./self_program.ts";
import {
  baseName,
  denoOfRunner,
  directoryOfEnv,
  type EnvStep,
  searchedByEnv,
  unwrapEnv,
} from "./wrappers.ts";

/** The flag that keeps the runtime from fetching modules. */
const CACHED_ONLY = "--cached-only";

/** The names of files that are run by Deno rather than executed. */
const SCRIPT = /\.[cm]?[jt]sx?$/;

/** The program behind `env`, or the program of a command without it. */
interface InnerProgram {
  readonly path: string;
  /** The word that `env` looks up itself, possibly as another user with another `PATH`. */
  readonly name?: string;
  readonly args: readonly string[];
  /** Where it was looked for, if that is in no `PATH`. */
  readonly searched?: readonly string[];
}

/** A service whose program was found: what its command means on this machine. */
export interface Located {
  readonly service: ServiceConfig;
  readonly place: ProgramPlace;
  readonly view: View;
  /** What is started. */
  readonly program: Program;
  readonly inner: InnerProgram;
  /** What `env` changes before it becomes the program; nothing without it. */
  readonly steps: readonly EnvStep[];
  /** The program, if it is a file that Deno runs. */
  readonly script?: string;
  /** The running program, if the command is `self`. */
  readonly self?: SelfProgram;
  /** The arguments of Deno without those of the script; undefined for another program. */
  readonly denoArgs?: readonly string[];
  readonly protocol: Exclude<ServerProtocol, "auto" | "deno">;
  /** Present if the program knows nothing of its master. */
  readonly unchanged?: UnchangedProgram;
  /** Where the program opens an address itself, if it was taken for a server of this framework without being told so. */
  readonly addressCall?: string;
  /** The files of tasks that the command names. */
  readonly taskFiles: readonly string[];
  /** Where these tasks, and programs of packages, were looked for. */
  readonly searched: readonly string[];
  /** Whether Deno's permissions restrict the program to less than what its user may do. */
  readonly isRestricted: boolean;
}

/**
 * Finds the program of a service.
 *
 * A script (`.ts`, `.js` and the like) is run by Deno with the permissions of `server-permissions`,
 * or with all of them without that setting. The word `deno`, also after `npx`, means the Deno that
 * runs the master; it need not be in `PATH`. Both hold after `env` as well. Any other program is
 * looked up as execvp(3) does, after the change of root and directory if the service sets them.
 * `self NAME` means the running program: its main module, run like a script, or a compiled program. A task of
 * `deno.json` or a script of `package.json` is replaced by its command.
 *
 * The protocol `deno` is for programs that know nothing of a master, and `auto` finds some of them: a script that
 * exports an application as `deno serve` runs it, `deno serve` itself, a task. Else `auto` means the
 * control protocol for programs that are known to be Deno (a script, the word `deno`, a file whose interpreter is Deno, the master's own program), and LIB-ZC's for all
 * others. A Deno without `--allow-ffi` can't receive descriptors in messages and inherits them.
 *
 * @param service The service.
 * @param place Where to look.
 * @throws {TypeError} When there is no such program, or it can't be executed.
 */
export function locate(service: ServiceConfig, place: ProgramPlace): Located {
  const { masterChroot: root, masterChdir: directory, permissions } = service;
  const view = viewFrom(service, place);
  const { command, taskFiles, searched: ofTasks } = withoutTasks(service, view);
  const { prefix: [env, ...given], steps, words } = unwrapEnv(command, splitCommand);
  const inside = viewIn(view, directoryOfEnv(steps));
  const isSelf = words[0] === SELF, self = isSelf ? view.self : undefined;
  const script = self?.kind === "module" ? self.file : words.slice(0, 1).find(isScriptFile);
  const found = isSelf
    ? ownProgram(service, words, view)
    : script === undefined
    ? otherProgram({ words, steps, view, inside, isByDeno: isByDeno(service, taskFiles) })
    : scriptProgram(service, words, { view, inside });
  const searched = [...ofTasks, ...(found.searched ?? [])];
  const { inner, unchanged } = isUnchanged(service, { found, script, view: inside, taskFiles })
    ? asUnchanged(found)
    : { inner: found };
  const { path, name = path, args } = inner;
  const change = {
    ...(root && { root: resolvePath(place.cwd, root) }),
    ...(directory && { directory }),
  };
  const program = env === undefined
    ? { path, args, ...change }
    : { path: findExecutable(env, view), args: [...given, name, ...args], ...change };
  const denoArgs = denoArguments(inner, view);
  const mayUseFfi = script !== undefined || self?.kind === "module"
    ? grantsFfi(permissions)
    : denoArgs?.includes("run")
    ? grantsFfi(denoArgs)
    : undefined;
  const isControl = mayUseFfi ?? (denoArgs !== undefined || isSelf || path === view.selfPath);
  const guessed = isControl ? "control" : mayUseFfi === undefined ? "libzc" : "inherit";
  return {
    ...{ service, place, view, program, inner, steps, script, self, denoArgs, taskFiles, searched },
    protocol: service.protocol === "auto" || service.protocol === "deno"
      ? guessed
      : service.protocol,
    isRestricted: !(mayUseFfi ?? service.protocol !== "inherit"),
    ...(unchanged ? { unchanged } : addressCall(service, { script, denoArgs, view })),
  };
}

/** Looks for a call that opens an address, in the script of a service whose protocol is not set. */
function addressCall(
  { protocol }: ServiceConfig,
  { script, denoArgs, view }: {
    readonly script: string | undefined;
    readonly denoArgs: readonly string[] | undefined;
    readonly view: View;
  },
): Pick<Located, "addressCall"> {
  const main = script ?? denoArgs?.find(isScriptFile);
  if (protocol !== "auto" || main === undefined || !view.isFile(main)) return {};
  return { addressCall: addressCallIn(view.programText(main) ?? "") };
}

/** How many tasks may name one another. */
const MOST_TASKS = 16;

/** The command with tasks replaced by theirs, and the files that they are in. */
function withoutTasks(
  { command, protocol }: ServiceConfig,
  view: View,
): {
  readonly command: readonly string[];
  readonly taskFiles: readonly string[];
  readonly searched: readonly string[];
} {
  const taskFiles: string[] = [], searched: string[] = [];
  if (protocol !== "auto" && protocol !== "deno") return { command, taskFiles, searched };
  for (let current = command; taskFiles.length <= MOST_TASKS;) {
    const { prefix, steps, words } = unwrapEnv(current, splitCommand);
    const inside = viewIn(view, directoryOfEnv(steps));
    const task = taskCommand(denoCommand(words, view) ?? words, inside);
    if (task === undefined) return { command: current, taskFiles, searched };
    taskFiles.push(task.file);
    searched.push(...task.directories);
    current = behind(prefix, task.words);
  }
  const about = { found: "tasks that run one another", expected: "the command of a program" };
  throw new TypeError(cannot("run", command.join(" "), about));
}

/** One command of `env` for two that follow one another. */
function behind(prefix: readonly string[], words: readonly string[]): readonly string[] {
  const [env, first] = words;
  if (prefix.length === 0 || baseName(env) !== "env") return [...prefix, ...words];
  if (/^[A-Za-z_]\w*=/.test(first)) return [...prefix, ...words.slice(1)];
  throw new TypeError(cannot("run", words.join(" "), {
    found: `env in a task, behind ${prefix.join(" ")}`,
    expected: "variables alone in the task, or the command of the task",
  }));
}

/** Whether Deno runs what a shell would run by node: in a task, and where the settings say that it is a program of Deno. */
function isByDeno({ protocol }: ServiceConfig, taskFiles: readonly string[]): boolean {
  return protocol === "deno" || taskFiles.length > 0;
}

/** Whether a program knows nothing of its master. */
function isUnchanged(
  { protocol, command }: ServiceConfig,
  { found, script, view, taskFiles }: {
    readonly found: InnerProgram;
    readonly script: string | undefined;
    readonly view: View;
    readonly taskFiles: readonly string[];
  },
): boolean {
  const { path, args } = found, [subcommand] = args;
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
  const main = script ?? (taskFiles.length > 0 ? args.find(isScriptFile) : undefined);
  if (main === undefined || !view.isFile(main)) return taskFiles.length > 0;
  const text = view.programText(main) ?? "";
  return !namesFramework(text) && (taskFiles.length > 0 || exportsApplication(text));
}

function asUnchanged(
  { path, args }: InnerProgram,
): { readonly inner: InnerProgram; readonly unchanged: UnchangedProgram } {
  const { args: unchanged, program } = unchangedArguments(args);
  return { inner: { path, args: fetchingNothing(unchanged) }, unchanged: program };
}

function scriptProgram(
  service: ServiceConfig,
  [word, ...args]: readonly string[],
  { view, inside }: { readonly view: View; readonly inside: View },
): InnerProgram {
  requireScript(word, service, inside);
  const script = word.isWellFormed() ? word : fileUrl(view.pathOf(word));
  const run = ["run", ...service.permissions, script, ...args];
  return { path: denoProgram(view, word), args: fetchingNothing(run) };
}

/** The running program as one of its own servers. */
function ownProgram(service: ServiceConfig, words: readonly string[], view: View): InnerProgram {
  const { name, self } = requireOwnServer(words, view);
  if (view.changesRoot) {
    const found = "master-chroot, in which this program is out of reach";
    throw new TypeError(cannot("run", `${SELF} ${name}`, { found, expected: "server-chroot" }));
  }
  const args = [ownServerArgument(name), ...words.slice(2)];
  if (self.kind === "binary") return { path: findExecutable(self.path, view), args };
  const { file, url, flags } = self;
  if (file !== undefined) requireScript(file, service, view);
  const main = file?.isWellFormed() ? file : url;
  const run = ["run", ...service.permissions, ...flags, main, ...args];
  return { path: denoProgram(view), args: fetchingNothing(run) };
}

function otherProgram({ words, steps, view, inside, isByDeno }: {
  readonly words: readonly string[];
  readonly steps: readonly EnvStep[];
  readonly view: View;
  readonly inside: View;
  readonly isByDeno: boolean;
}): InnerProgram {
  const [word, ...args] = denoCommand(words, view) ?? words;
  const ofNode = isByDeno ? nodeProgram([word, ...args], inside) : undefined;
  if (ofNode !== undefined) {
    const { words: ofScript, searched } = ofNode;
    return { path: denoProgram(view), args: nodeArguments(ofScript), searched };
  }
  if (word === "deno") return { path: denoProgram(view), args: fetchingNothing(args) };
  // It is found in another PATH or directory, which only env sees.
  const isElsewhere = (searchedByEnv(steps) ?? directoryOfEnv(steps)) !== undefined;
  return { path: isElsewhere ? word : findExecutable(word, view), name: word, args };
}

/** The script of node that a command runs, with its arguments; undefined for another command. */
function nodeProgram(
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
  for (let directory = view.pathOf(".");; directory = resolvePath(directory, "..")) {
    searched.push(directory);
    const path = `${directory === "/" ? "" : directory}/node_modules/.bin/${word}`;
    if (view.isFile(path)) {
      return { words: [view.changesRoot ? path : view.realPath(path), ...args], searched };
    }
    if (directory === "/") return undefined;
  }
}

/**
 * Limits the imports of a program without FFI to the cache. Otherwise the runtime would fetch
 * further modules for it, whatever its permissions are, and the program could change them in the
 * meantime.
 */
function fetchingNothing(args: readonly string[]): readonly string[] {
  const [command, ...rest] = args;
  if (command !== "run" || grantsFfi(rest) || flagsOf(rest).includes(CACHED_ONLY)) return args;
  return [command, CACHED_ONLY, ...rest];
}

/** A URL for bytes that the runtime does not accept in a path. */
function fileUrl(path: string): string {
  const isPlain = (byte: number) => /[\w./~-]/.test(String.fromCharCode(byte)) && byte < 0x80;
  const encoded = Array.from(
    encodeText(path),
    (byte) =>
      isPlain(byte)
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
  );
  return `file://${encoded.join("")}`;
}

/** The command from `deno` on, if it would run npm's package of that name. */
function denoCommand(words: readonly string[], view: View): readonly string[] | undefined {
  const [word, ...args] = words;
  const isShim = baseName(word) === "deno" && /\bnode\b/.test(view.interpreterLine(word));
  return isShim ? ["deno", ...args] : denoOfRunner(words, view.denoVersion);
}

/** Describes a word that is not a program. */
function noProgram(
  word: string,
): { readonly found: string; readonly expected: string } | undefined {
  if (/^[A-Za-z_]\w*=/.test(word)) {
    const found = "a variable, which only a shell takes from there";
    return { found, expected: `env ${word} and the program behind it, or server-env` };
  }
  if (!/^(?:https?|file|data|jsr|npm|node):/.test(word)) return undefined;
  return { found: "a URL, which is no program", expected: `deno run -A ${word}` };
}

/**
 * Checks that the script of a service is there.
 *
 * @throws {TypeError} When it is not; it says where the script was looked for, and where it may be instead.
 */
export function requireScript(word: string, service: ServiceConfig, view: View): void {
  if (!view.isFile(word)) {
    throw new TypeError(cannot("run", word, missingScript(word, service, view)));
  }
}

function missingScript(
  word: string,
  { file }: ServiceConfig,
  view: View,
): { readonly found: string; readonly expected: string } {
  const other = noProgram(word);
  if (other !== undefined) return other;
  if (view.isDirectory(word)) return { found: "a directory", expected: "a script" };
  const path = view.pathOf(word);
  const beside = file === undefined ? undefined : file.replace(/[^/]*$/, word);
  const isBeside = !word.startsWith("/") && beside !== undefined && view.isFile(beside);
  const missing = path === word ? "no such file" : `no such file ${path}`;
  return {
    found: view.isDeadLink(word) ? "a link that leads nowhere" : missing,
    expected: isBeside
      ? `${beside}, since a path does not start from the settings file`
      : "a script",
  };
}

/** Whether a word of a command is the name of a file that Deno can run. */
export function isScriptFile(word: string): boolean {
  return SCRIPT.test(word);
}

/** @param script What it is to run, if a master that has no Deno of its own was not told to run `deno`. */
function denoProgram(view: View, script?: string): string {
  if (view.denoPath !== undefined && !view.changesRoot) return view.denoPath;
  const isThere = view.searchPath.some((directory) =>
    view.isExecutable(`${directory || "."}/deno`)
  );
  if (script === undefined || isThere || view.changesRoot) return findExecutable("deno", view);
  const found = `no deno in PATH (${view.searchPath.join(":")}), and a compiled master has none`;
  const expected = `a deno there, or a server in the same binary: ${SELF} NAME`;
  throw new TypeError(cannot("run", script, { found, expected }));
}

/**
 * The path of a program, found as execvp(3) does.
 *
 * @throws {TypeError} When it can't be executed.
 */
export function findExecutable(program: string, view: View): string {
  const isPath = program.includes("/");
  const candidates = isPath
    ? [program]
    : view.searchPath.map((directory) => `${directory || "."}/${program}`);
  const executable = candidates.find((path) => view.isExecutable(path));
  if (executable !== undefined) return executable;
  const other = noProgram(program);
  if (other !== undefined) throw new TypeError(cannot("run", program, other));
  const found = candidates.some((path) => view.isFile(path))
    ? "a file that may not be executed"
    : isPath && view.isDirectory(program)
    ? "a directory"
    : isPath && view.isDeadLink(program)
    ? "a link that leads nowhere"
    : isPath && !program.startsWith("/")
    ? `no such program ${view.pathOf(program)}`
    : "no such program";
  const expected = isPath
    ? "an executable file"
    : `an executable file in PATH (${view.searchPath.join(":")})`;
  throw new TypeError(cannot("run", program, { found, expected }));
}

function denoArguments({ path, args }: InnerProgram, view: View): readonly string[] | undefined {
  if (baseName(path) === "deno" || path === view.denoPath) return args;
  const words = interpreterWords(view, path);
  const deno = words.findIndex((word) => /^(.*\/)?deno\b/.test(word));
  return deno < 0 ? undefined : words.slice(deno + 1);
}

/**
 * The interpreter of a script with its arguments; empty for any other program.
 *
 * @param view Where to look.
 * @param path The script.
 */
export function interpreterWords(view: View, path: string): string[] {
  return view.interpreterLine(path).slice(2).split(/\s+/).filter((word) => word !== "");
}

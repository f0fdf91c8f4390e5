/**
 * Resolves a `server-command`: the program's path, how it is run, and which protocol it speaks.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { splitCommand } from "../../config/command.ts";
import { cannot } from "../../config/errors.ts";
import { firstWordOf, flagsOf, grantsFfi } from "../../config/permissions.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { ServerProtocol } from "../../config/settings.ts";
import { encodeText } from "../../os/ffi/byte_text.ts";
import type { Program } from "../policy/resolved_service.ts";
import { denoCommand, isUnchanged, mainText, scriptOfNode, withoutTasks } from "./deno_command.ts";
import {
  addressCallIn,
  nodeArguments,
  unchangedArguments,
  type UnchangedRun,
} from "./unchanged_program.ts";
import { ownServerArgument, SELF } from "../../config/own_server.ts";
import { type ProgramPlace, type View, viewFrom, viewIn } from "./program_lookup.ts";
import { requireOwnServer, type SelfProgram } from "./self_program.ts";
import {
  baseName,
  directoryOfEnv,
  type EnvStep,
  isScriptFile,
  searchedByEnv,
  unwrapEnv,
} from "./wrappers.ts";

/** The flag that keeps the runtime from fetching modules. */
const CACHED_ONLY = "--cached-only";

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
  readonly unchanged?: UnchangedRun;
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
 * exports an application as `deno serve` runs it, `deno serve` itself, a task. Else `auto` means the control protocol
 * for programs that are known to be Deno (a script, the word `deno`, a file whose interpreter is Deno, the master's
 * own program), and LIB-ZC's for all others. A Deno without `--allow-ffi` can't receive descriptors in messages and
 * inherits them.
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
  // A shell would run it by node: in a task, or where the settings say that Deno runs the program.
  const isByDeno = service.protocol === "deno" || taskFiles.length > 0;
  const found = isSelf
    ? ownProgram(service, words, view)
    : script === undefined
    ? otherProgram({ words, steps, view, inside, isByDeno })
    : scriptProgram(service, words, { view, inside });
  const searched = [...ofTasks, ...(found.searched ?? [])];
  const text = service.protocol === "auto" ? mainText(script, found, inside) : undefined;
  const isTask = taskFiles.length > 0;
  const { inner, unchanged } = isUnchanged(service, { found, view, text, script, isTask })
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
    : denoArgs && grantsFfi(denoArgs);
  const isControl = mayUseFfi ?? (denoArgs !== undefined || isSelf || path === view.selfPath);
  const guessed = isControl ? "control" : mayUseFfi === undefined ? "libzc" : "inherit";
  return {
    ...{ service, place, view, program, inner, steps, script, self, denoArgs, taskFiles, searched },
    protocol: service.protocol === "auto" || service.protocol === "deno"
      ? guessed
      : service.protocol,
    isRestricted: !(mayUseFfi ?? service.protocol !== "inherit"),
    ...(unchanged ? { unchanged } : text !== undefined && { addressCall: addressCallIn(text) }),
  };
}

function asUnchanged(
  { path, args }: InnerProgram,
): { readonly inner: InnerProgram; readonly unchanged: UnchangedRun } {
  const { args: unchanged, run } = unchangedArguments(args);
  return { inner: { path, args: fetchingNothing(unchanged) }, unchanged: run };
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
  const ofNode = isByDeno ? scriptOfNode([word, ...args], inside) : undefined;
  if (ofNode !== undefined) {
    const { words: ofScript, searched } = ofNode;
    return { path: denoProgram(view), args: nodeArguments(ofScript), searched };
  }
  const ownArgs = isDeno(word, view) ? fetchingNothing(withRun(args)) : args;
  if (word === "deno") return { path: denoProgram(view), args: ownArgs };
  // It is found in another PATH or directory, which only env sees.
  const isElsewhere = (searchedByEnv(steps) ?? directoryOfEnv(steps)) !== undefined;
  return { path: isElsewhere ? word : findExecutable(word, view), name: word, args: ownArgs };
}

/** Whether a program is Deno, by its path or name. */
function isDeno(program: string, view: View): boolean {
  return baseName(program) === "deno" || program === view.denoPath;
}

/** The arguments of Deno with the subcommand `run`, which it takes a script without a subcommand for. */
function withRun(args: readonly string[]): readonly string[] {
  const word = firstWordOf(args);
  const isScript = word !== undefined && /[./:]/.test(word);
  return isScript && !args.slice(0, args.indexOf(word)).includes("run") ? ["run", ...args] : args;
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

/** Describes a word that is not a program. */
function noProgram(
  word: string,
): { readonly found: string; readonly expected: string } | undefined {
  if (/^[A-Za-z_]\w*=/.test(word)) {
    const found = "a variable, which only a shell takes from there";
    return { found, expected: `env ${word} and the program behind it, or server-env` };
  }
  if (/^~|\$/.test(word)) {
    const found = `a ${word.startsWith("~") ? "~" : "variable"}, which only a shell expands`;
    return { found, expected: "the path itself" };
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
  if (view.isOutOfReach(word)) return outOfReach(path);
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

/** A path about whose end nothing is known, not even that there is none. */
function outOfReach(path: string): { readonly found: string; readonly expected: string } {
  const found = `${path} behind a directory that this user may not enter`;
  return { found, expected: "a path that the user of the master may follow" };
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
  if (isPath && view.isOutOfReach(program)) {
    throw new TypeError(cannot("run", program, outOfReach(view.pathOf(program))));
  }
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
  if (isDeno(path, view)) return args;
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

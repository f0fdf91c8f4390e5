/**
 * Resolves a `server-command`: the program's path, how it is run, and which protocol it speaks.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { splitCommand } from "../../config/command.ts";
import { cannot } from "../../config/errors.ts";
import { grantsFfi } from "../../config/permissions.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { ServerProtocol } from "../../config/settings.ts";
import { encodeText } from "../../os/ffi/byte_text.ts";
import type { withoutCaches } from "../../os/process/deno_dir.ts";
import type { Credentials, Names, Owner } from "../../os/user/accounts.ts";
import type { accessAs } from "../../os/process/file_access.ts";
import {
  baseName,
  denoOfRunner,
  directoryOfEnv,
  type EnvStep,
  searchedByEnv,
  unwrapEnv,
} from "./wrappers.ts";

/** The names of files that are run by Deno rather than executed. */
const SCRIPT = /\.[cm]?[jt]sx?$/;

/** Looks up programs, files and users on the system; replaced in tests. */
export interface ProgramLookup {
  /** The path of the running Deno, or undefined when this is a compiled program. */
  readonly denoPath: string | undefined;
  /** The version of the Deno that runs the master. */
  readonly denoVersion: string;
  /** The path of the running program: Deno, or the compiled one. */
  readonly selfPath: string;
  /** The soft limit of open files that programs of other kinds get. */
  readonly openFiles: number;
  /** The directories of `PATH`. */
  readonly searchPath: readonly string[];
  /** Whether a path is a file that can be executed. */
  isExecutable(path: string): boolean;
  /** Whether a path is a file. */
  isFile(path: string): boolean;
  /** Whether a path is a directory. */
  isDirectory(path: string): boolean;
  /** Whether a path is a dangling link. */
  isDeadLink(path: string): boolean;
  /** The interpreter line of a script (`#!…`); empty for any other file. */
  interpreterLine(path: string): string;
  /** See `src/os/process/program_lookup.ts`. */
  realPath(path: string): string;
  /** A text that changes with the file; undefined where there is no file. */
  fileStamp(path: string): string | undefined;
  /** See `src/os/process/program_lookup.ts`. */
  looseMode(path: string): number | undefined;
  /** Whether the master may change the root directory. */
  mayChangeRoot(): boolean;
  /** Whether the master may start programs as any user. */
  mayChangeUser(): boolean;
  /** See `src/os/user/accounts.ts`. */
  credentialsOf(names: Names): Credentials;
  /** Whether the master already runs as this user. */
  hasCredentials(credentials: Credentials): boolean;
  /** See `src/os/process/setpriv.ts`. */
  setprivCommand(credentials?: Credentials): readonly string[] | undefined;
  /** See `src/os/process/file_access.ts`. */
  accessAs: typeof accessAs;
  /** See `src/os/process/deno_dir.ts`. */
  denoDir(home?: string): string;
  /** See `src/os/process/deno_dir.ts`. */
  cachePaths(): readonly string[];
  /** See `src/os/process/deno_dir.ts`. */
  withoutCaches: typeof withoutCaches;
  /** See `src/os/user/accounts.ts`. */
  ownerOf(names: Names): Owner;
  /** Whether the master may change the owner of a file to this one. */
  mayGiveTo(owner: Owner): boolean;
}

/** Where to look for a program. */
export interface ProgramPlace {
  readonly lookup: ProgramLookup;
  /** The working directory of the master. */
  readonly cwd: string;
}

/** A program to start. */
export interface Program {
  /** Its path, as the started process sees it. */
  readonly path: string;
  /** Its own arguments, without `argv[0]`. */
  readonly args: readonly string[];
  /** The root directory to change to first, if the service has one. */
  readonly root?: string;
  /** The working directory to change to first, if the service has one. */
  readonly directory?: string;
}

/**
 * Finds the program of a service.
 *
 * A script (`.ts`, `.js` and the like) is run by Deno with the permissions of `server-permissions`,
 * or with all of them without that setting. The word `deno`, also after `npx`, means the Deno that
 * runs the master; it need not be in `PATH`. Both hold after `env` as well. Any other program is
 * looked up as execvp(3) does, after the change of root and directory if the service sets them.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The program.
 * @throws {TypeError} When there is no such program, or it can't be executed.
 */
export function programOf(service: ServiceConfig, place: ProgramPlace): Program {
  const { masterChroot: root, masterChdir: directory } = service;
  const view = viewFrom(service, place);
  const change = {
    ...(root && { root: resolvePath(place.cwd, root) }),
    ...(directory && { directory }),
  };
  const [env, ...given] = unwrapEnv(service.command, splitCommand).prefix;
  const { path, name = path, args } = innerProgram(service, place);
  if (env === undefined) return { path, args, ...change };
  return { path: findExecutable(env, view), args: [...given, name, ...args], ...change };
}

/** What `env` changes before it becomes the program; nothing without it. */
export function envStepsOf({ command }: ServiceConfig): readonly EnvStep[] {
  return unwrapEnv(command, splitCommand).steps;
}

/**
 * The program after `env`, or the program of the command; `name` is the word that `env` looks up
 * itself, possibly as another user with another `PATH`.
 */
export function innerProgram(
  service: ServiceConfig,
  place: ProgramPlace,
): { readonly path: string; readonly name?: string; readonly args: readonly string[] } {
  const view = viewFrom(service, place);
  const { steps, words } = unwrapEnv(service.command, splitCommand);
  const [word, ...args] = denoCommand(words, view) ?? words;
  if (word === "deno") return { path: denoProgram(view), args: fetchingNothing(args) };
  if (!isScript(service)) {
    // It is found in another PATH or directory, which only env sees.
    const isElsewhere = (searchedByEnv(steps) ?? directoryOfEnv(steps)) !== undefined;
    return { path: isElsewhere ? word : findExecutable(word, view), name: word, args };
  }
  if (!view.isFile(word)) throw new TypeError(cannot("run", word, missingScript(service, view)));
  const script = word.isWellFormed() ? word : fileUrl(view.pathOf(word));
  const run = ["run", ...service.permissions, script, ...args];
  return { path: denoProgram(view), args: fetchingNothing(run) };
}

/**
 * Limits the imports of a program without FFI to the cache. Otherwise the runtime would fetch
 * further modules for it, whatever its permissions are, and the program could change them in the
 * meantime.
 */
function fetchingNothing(args: readonly string[]): readonly string[] {
  const [command, ...rest] = args;
  return command === "run" && !grantsFfi(rest) ? [command, "--cached-only", ...rest] : args;
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
    return { found, expected: `env ${word} and the program behind it` };
  }
  if (!/^(?:https?|file|data|jsr|npm|node):/.test(word)) return undefined;
  return { found: "a URL, which is no program", expected: `deno run -A ${word}` };
}

/** Says where a script was looked for, and where it may be instead. */
function missingScript(
  { command, file }: ServiceConfig,
  view: View,
): { readonly found: string; readonly expected: string } {
  const { words: [word] } = unwrapEnv(command, splitCommand);
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

/** Whether a service's program is a file that Deno runs. */
export function isScript({ command }: ServiceConfig): boolean {
  return isScriptFile(unwrapEnv(command, splitCommand).words[0]);
}

/** Whether a word of a command is the name of a file that Deno can run. */
export function isScriptFile(word: string): boolean {
  return SCRIPT.test(word);
}

/**
 * Checks that a service's processes can change to the root directory that the settings name.
 *
 * @throws {TypeError} When they can't.
 */
export function requireRoot({ masterChroot }: ServiceConfig, { lookup, cwd }: ProgramPlace): void {
  if (masterChroot === undefined) return;
  if (!lookup.isDirectory(resolvePath(cwd, masterChroot))) {
    const about = { found: "no such directory", expected: "a directory" };
    throw new TypeError(cannot("change the root to", masterChroot, about));
  }
  if (!lookup.mayChangeRoot()) {
    const about = { found: "not permitted", expected: "a master that runs as root" };
    throw new TypeError(cannot("change the root to", masterChroot, about));
  }
}

/**
 * Checks that a service's processes can change to the working directory that the settings name.
 *
 * @throws {TypeError} When they can't.
 */
export function requireDirectory(service: ServiceConfig, place: ProgramPlace): void {
  const { masterChdir } = service;
  if (masterChdir === undefined || viewFrom(service, place).isDirectory(".")) return;
  const about = { found: "no such directory", expected: "a directory, seen from the new root" };
  throw new TypeError(cannot("change the directory to", masterChdir, about));
}

/** The lookup, with the file system as a service's process sees it. */
export interface View extends ProgramLookup {
  /** Whether its root differs from the master's. */
  readonly changesRoot: boolean;
  /** Resolves a path of the service's processes, as they see it. */
  pathOf(path: string): string;
}

/** The file system as a service's processes will see it when they start. */
export function viewFrom(
  { masterChroot, masterChdir }: ServiceConfig,
  { lookup, cwd }: ProgramPlace,
): View {
  const root = masterChroot === undefined ? "" : resolvePath(cwd, masterChroot);
  const start = resolvePath(root === "" ? cwd : "/", masterChdir ?? ".");
  const outside = (path: string) => `${root}${resolvePath(start, path)}`;
  return {
    ...lookup,
    isFile: (path) => lookup.isFile(outside(path)),
    isDirectory: (path) => lookup.isDirectory(outside(path)),
    isDeadLink: (path) => lookup.isDeadLink(outside(path)),
    isExecutable: (path) => lookup.isExecutable(outside(path)),
    interpreterLine: (path) => lookup.interpreterLine(outside(path)),
    fileStamp: (path) => lookup.fileStamp(outside(path)),
    looseMode: (path) => lookup.looseMode(outside(path)),
    changesRoot: root !== "",
    pathOf: (path) => resolvePath(start, path),
  };
}

/**
 * A text that changes with the files of a service's command: the program, and each word that is a
 * file, such as a script. `module_versions.ts` covers the modules.
 *
 * @param service The service, whose program exists.
 * @param place Where to look.
 */
export function commandStamp(service: ServiceConfig, place: ProgramPlace): string {
  const view = viewFrom(service, place);
  return commandFiles(service, place).map((path) => view.fileStamp(path)).join();
}

/**
 * The files of a service's command: its program, and each word that is a file.
 *
 * @param service The service, whose program exists.
 * @param place Where to look.
 * @returns The paths as the service's processes see them.
 */
export function commandFiles(service: ServiceConfig, place: ProgramPlace): string[] {
  const view = viewFrom(service, place);
  const { path, args } = programOf(service, place);
  const words = new Set([path, ...args, ...service.command, ...innerPaths(service, place)]);
  return [...words].filter((path) => view.isFile(path));
}

/** The paths that the program behind `env` may have, as `env` looks it up. */
function innerPaths(service: ServiceConfig, place: ProgramPlace): string[] {
  const steps = envStepsOf(service), { path, name = path } = innerProgram(service, place);
  const directory = directoryOfEnv(steps), searched = searchedByEnv(steps);
  const names = name.includes("/") || searched === undefined
    ? [name]
    : searched.split(":").map((one) => `${one || "."}/${name}`);
  const seen = (one: string) =>
    one.startsWith("/") || directory === undefined ? one : `${directory}/${one}`;
  return [path, ...names.map(seen)];
}

function denoProgram(view: View): string {
  return view.denoPath !== undefined && !view.changesRoot
    ? view.denoPath
    : findExecutable("deno", view);
}

function findExecutable(program: string, view: View): string {
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

/**
 * The protocol of a service's program. `auto` means the control protocol for programs that are
 * known to be Deno (a script, the word `deno`, a file whose interpreter is Deno, the master's own
 * program), and LIB-ZC's for all others. A Deno without `--allow-ffi` can't receive descriptors in
 * messages and inherits them.
 */
export function protocolOf(
  service: ServiceConfig,
  place: ProgramPlace,
): Exclude<ServerProtocol, "auto"> {
  if (service.protocol !== "auto") return service.protocol;
  const hasFfi = mayUseFfi(service, place);
  if (hasFfi !== undefined) return hasFfi ? "control" : "inherit";
  const isOwnProgram = innerProgram(service, place).path === place.lookup.selfPath;
  return isOwnProgram || isDeno(service, place) ? "control" : "libzc";
}

/** Whether Deno's permissions restrict a service's program to less than what its user may do. */
export function isRestricted(service: ServiceConfig, place: ProgramPlace): boolean {
  return !(mayUseFfi(service, place) ?? service.protocol !== "inherit");
}

/** Whether Deno runs the program, by any form of command. */
export function isDeno(service: ServiceConfig, place: ProgramPlace): boolean {
  return isScript(service) || denoArguments(service, place) !== undefined;
}

/** Whether Deno runs it with `--allow-ffi`; undefined where the command does not tell. */
function mayUseFfi(service: ServiceConfig, place: ProgramPlace): boolean | undefined {
  if (isScript(service)) return grantsFfi(service.permissions);
  const args = denoArguments(service, place);
  return args?.includes("run") ? grantsFfi(args) : undefined;
}

/** The arguments of Deno without those of the script; undefined for another program. */
export function denoArguments(
  service: ServiceConfig,
  place: ProgramPlace,
): readonly string[] | undefined {
  const { path, args } = innerProgram(service, place);
  if (baseName(path) === "deno" || path === place.lookup.denoPath) return args;
  const words = interpreterWords(viewFrom(service, place), path);
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

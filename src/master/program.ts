/**
 * The program that a `server-command` means: where it is, how it is run, and which protocol it
 * speaks.
 *
 * @module
 */
import { resolvePath } from "../config/address.ts";
import { cannot } from "../config/errors.ts";
import { grantsFfi } from "../config/permissions.ts";
import type { ServiceConfig } from "../config/service.ts";
import type { ServerProtocol } from "../config/settings.ts";
import type { Identity, Names, Owner } from "../os/identity.ts";

/** Files that are run by Deno rather than executed. */
const SCRIPT = /\.[cm]?[jt]sx?$/;

/** What is asked of the system, replaced in tests. */
export interface ProgramLookup {
  /** The path of the running Deno, or undefined when this is a compiled program. */
  readonly denoPath: string | undefined;
  /** The path of the running program: Deno, or the compiled one. */
  readonly selfPath: string;
  /** The directories of `PATH`. */
  readonly searchPath: readonly string[];
  /** Whether a path is a file that can be executed. */
  isExecutable(path: string): boolean;
  /** Whether a path is a file. */
  isFile(path: string): boolean;
  /** Whether a path is a directory. */
  isDirectory(path: string): boolean;
  /** The interpreter line of a script (`#!…`); empty for any other file. */
  interpreterLine(path: string): string;
  /** See `src/os/program_lookup.ts`. */
  realPath(path: string): string;
  /** What tells one version of a file from another; undefined where there is no file. */
  fileStamp(path: string): string | undefined;
  /** See `src/os/program_lookup.ts`. */
  looseMode(path: string): number | undefined;
  /** Whether the master may change the root directory. */
  mayChangeRoot(): boolean;
  /** Whether the master may start programs as any user. */
  mayChangeUser(): boolean;
  /** See `src/os/identity.ts`. */
  identityOf(names: Names): Identity;
  /** Whether the master is this user already. */
  isIdentity(identity: Identity): boolean;
  /** See `src/os/identity.ts`. */
  ownerOf(names: Names): Owner;
  /** Whether the master may give a file to an owner. */
  mayGiveTo(owner: Owner): boolean;
}

/** Where to look. */
export interface ProgramPlace {
  readonly lookup: ProgramLookup;
  /** The working directory of the master. */
  readonly cwd: string;
}

/** A program to start. */
export interface Program {
  /** Its path, as the process that becomes it sees it. */
  readonly path: string;
  /** Its own arguments, without `argv[0]`. */
  readonly args: readonly string[];
  /** The root directory to change to before, if the service has one. */
  readonly root?: string;
  /** The working directory to change to before, if the service has one. */
  readonly directory?: string;
}

/**
 * Finds the program of a service.
 *
 * A script (`.ts`, `.js` and the like) is run by Deno with the permissions that it has been given,
 * which is all without a `server-permissions`; the word `deno` means
 * the Deno that runs the master, which need not be in `PATH`. Any other program is looked up as
 * execvp(3) does, after the change of root and directory if the service asks for these.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The program.
 * @throws {TypeError} When there is no such program, or it can't be executed.
 */
export function programOf(service: ServiceConfig, place: ProgramPlace): Program {
  const { masterChroot: root, masterChdir: directory, command: [word, ...args] } = service;
  const { permissions } = service;
  const view = viewFrom(service, place);
  const change = {
    ...(root && { root: resolvePath(place.cwd, root) }),
    ...(directory && { directory }),
  };
  if (word === "deno") return { path: denoProgram(view), args, ...change };
  if (!isScript(service)) return { path: findExecutable(word, view), args, ...change };
  if (!view.isFile(word)) {
    const found = view.isDirectory(word) ? "a directory" : "no such file";
    throw new TypeError(cannot("run", word, { found, expected: "a script" }));
  }
  return { path: denoProgram(view), args: ["run", ...permissions, word, ...args], ...change };
}

/** Whether a service's program is a file that Deno runs. */
export function isScript({ command: [word] }: ServiceConfig): boolean {
  return SCRIPT.test(word);
}

/**
 * Makes sure that a service's processes can be given the root directory that it asks for.
 *
 * @param service The service.
 * @param place Where to look.
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
 * Makes sure that a service's processes can be given the working directory that it asks for.
 *
 * @param service The service.
 * @param place Where to look.
 * @throws {TypeError} When they can't.
 */
export function requireDirectory(service: ServiceConfig, place: ProgramPlace): void {
  const { masterChdir } = service;
  if (masterChdir === undefined || viewFrom(service, place).isDirectory(".")) return;
  const about = { found: "no such directory", expected: "a directory, seen from the new root" };
  throw new TypeError(cannot("change the directory to", masterChdir, about));
}

/** The lookup as a process will see the file system. */
export interface View extends ProgramLookup {
  /** Whether it is another one than the master's. */
  readonly changesRoot: boolean;
}

/**
 * Looks at the file system as a service's processes will at their start.
 *
 * @param service The service.
 * @param place Where to look.
 */
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
    isExecutable: (path) => lookup.isExecutable(outside(path)),
    interpreterLine: (path) => lookup.interpreterLine(outside(path)),
    fileStamp: (path) => lookup.fileStamp(outside(path)),
    looseMode: (path) => lookup.looseMode(outside(path)),
    changesRoot: root !== "",
  };
}

/**
 * What tells whether the files of a service's command have changed: those of the program and of each
 * of its words that is a file, such as a script. Modules that a script imports are not looked at.
 *
 * @param service The service, whose program is there.
 * @param place Where to look.
 */
export function commandStamp(service: ServiceConfig, place: ProgramPlace): string {
  const view = viewFrom(service, place);
  return commandFiles(service, place).map((path) => view.fileStamp(path)).join();
}

/**
 * The files of a service's command: its program, and each of its words that is a file.
 *
 * @param service The service, whose program is there.
 * @param place Where to look.
 * @returns Their paths as the service's processes see them.
 */
export function commandFiles(service: ServiceConfig, place: ProgramPlace): string[] {
  const view = viewFrom(service, place);
  const words = new Set([programOf(service, place).path, ...service.command]);
  return [...words].filter((path) => view.isFile(path));
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
  const found = candidates.some((path) => view.isFile(path))
    ? "a file that may not be executed"
    : isPath && view.isDirectory(program)
    ? "a directory"
    : "no such program";
  const expected = isPath ? "an executable file" : "an executable file in PATH";
  throw new TypeError(cannot("run", program, { found, expected }));
}

/**
 * The protocol of a service's program. With `auto` it is the control protocol for what is
 * recognisably Deno (a script, the word `deno`, a file whose interpreter is Deno, the master's own
 * program) and LIB-ZC's for all else. A Deno without `--allow-ffi` can't receive descriptors in
 * messages: it inherits them.
 *
 * @param service The service.
 * @param place Where to look.
 */
export function protocolOf(
  service: ServiceConfig,
  place: ProgramPlace,
): Exclude<ServerProtocol, "auto"> {
  if (service.protocol !== "auto") return service.protocol;
  if (isScript(service)) return grantsFfi(service.permissions) ? "control" : "inherit";
  const denoArgs = denoArguments(service, place);
  if (denoArgs?.includes("run")) return grantsFfi(denoArgs) ? "control" : "inherit";
  const isOwnProgram = programOf(service, place).path === place.lookup.selfPath;
  return isOwnProgram || denoArgs !== undefined ? "control" : "libzc";
}

/** The arguments of Deno, if it is Deno that runs. */
function denoArguments(service: ServiceConfig, place: ProgramPlace): readonly string[] | undefined {
  const { path, args } = programOf(service, place);
  if (path.slice(path.lastIndexOf("/") + 1) === "deno" || path === place.lookup.denoPath) {
    return args;
  }
  const words = viewFrom(service, place).interpreterLine(path).slice(2).trim().split(/\s+/);
  const deno = words.findIndex((word) => /^(.*\/)?deno\b/.test(word));
  return deno < 0 ? undefined : words.slice(deno + 1);
}

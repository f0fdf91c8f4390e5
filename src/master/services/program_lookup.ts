/**
 * The access to programs, files and users of the system, and the file system as a service's processes
 * see it.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import type { readForeignText } from "../../config/cf.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { withoutCaches } from "../../os/process/deno_dir.ts";
import type { CachePath } from "../../os/process/deno_dir_paths.ts";
import type { accessAs } from "../../os/process/file_access.ts";
import type { ScriptRun } from "../../os/process/module_files.ts";
import type { Credentials, Names, Owner } from "../../os/user/accounts.ts";
import type { SelfProgram } from "./self_program.ts";

/** Looks up programs, files and users on the system; replaced in tests. */
export interface ProgramLookup {
  /** The path of the running Deno, or undefined when this is a compiled program. */
  readonly denoPath: string | undefined;
  /** The version of the Deno that runs the master. */
  readonly denoVersion: string;
  /** The path of the running program: Deno, or the compiled one. */
  readonly selfPath: string;
  /** See `self_program.ts`. */
  readonly self: SelfProgram | undefined;
  /** See `self_program.ts`. */
  readonly ownServers?: readonly string[];
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
  /** Whether a path leads through a directory that the master may not enter. */
  isOutOfReach(path: string): boolean;
  /** See `src/os/process/program_lookup.ts`. */
  interpreterLine(path: string): string;
  /** See `src/os/process/program_lookup.ts`. */
  realPath(path: string): string;
  /** See `src/os/process/program_lookup.ts`. */
  pathInRoot(root: string, path: string): string;
  /** A text that changes with the file; undefined where there is no file. */
  fileStamp(path: string): string | undefined;
  /** See `src/config/cf.ts`. */
  readForeignText: typeof readForeignText;
  /** Reads a file of a program; undefined where it can't be read. */
  programText(path: string): string | undefined;
  /** The permission bits of a file; undefined where none is found. */
  fileMode(path: string): number | undefined;
  /** When a file was last changed, in milliseconds since 1970. */
  lastChange(path: string): number | undefined;
  /** The local modules of a script; see `src/os/process/module_files.ts`. */
  localModules(run: ScriptRun): Promise<readonly string[]>;
  /** The time of day, in milliseconds since 1970. */
  timeOfDayMs(): number;
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
  /** See `src/os/process/deno_dir_paths.ts`. */
  cachePaths(): readonly CachePath[];
  /** The umask of the master. */
  umask(): number;
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

/** The lookup, with the file system as a service's process sees it. */
export interface View extends ProgramLookup {
  /** Whether its root differs from the master's. */
  readonly changesRoot: boolean;
  /** Resolves a path of the service's processes, as they see it. */
  pathOf(path: string): string;
  /** The same path as the master sees it. */
  outside(path: string): string;
}

/** The file system as a service's processes will see it when they start. */
export function viewFrom(
  { masterChroot, masterChdir }: Pick<ServiceConfig, "masterChroot" | "masterChdir">,
  { lookup, cwd }: ProgramPlace,
): View {
  const root = masterChroot === undefined ? "" : resolvePath(cwd, masterChroot);
  const start = resolvePath(root === "" ? cwd : "/", masterChdir ?? ".");
  const outside = (path: string) => {
    if (root === "") return resolvePath(start, path);
    return lookup.pathInRoot(root, path.startsWith("/") ? path : `${start}/${path}`);
  };
  return {
    ...lookup,
    isFile: (path) => lookup.isFile(outside(path)),
    isDirectory: (path) => lookup.isDirectory(outside(path)),
    isDeadLink(path) {
      const found = outside(path);
      if (root === "") return lookup.isDeadLink(found);
      const [, directory, name] = /^(.*)\/(.*)$/.exec(resolvePath(start, path))!;
      const isLink = found !== `${outside(directory || "/")}/${name}`;
      return isLink && !lookup.isFile(found) && !lookup.isDirectory(found);
    },
    isOutOfReach: (path) => lookup.isOutOfReach(outside(path)),
    isExecutable: (path) => lookup.isExecutable(outside(path)),
    interpreterLine: (path) => lookup.interpreterLine(outside(path)),
    fileStamp: (path) => lookup.fileStamp(outside(path)),
    looseMode: (path) => lookup.looseMode(outside(path)),
    programText: (path) => lookup.programText(outside(path)),
    changesRoot: root !== "",
    pathOf: (path) => resolvePath(start, path),
    outside,
  };
}

/** The view of a process that changes its directory first; paths that do not begin with "/" start there. */
export function viewIn(view: View, directory: string | undefined): View {
  if (directory === undefined) return view;
  const at = (path: string) => path.startsWith("/") ? path : `${directory}/${path}`;
  return {
    ...view,
    isFile: (path) => view.isFile(at(path)),
    isDirectory: (path) => view.isDirectory(at(path)),
    isDeadLink: (path) => view.isDeadLink(at(path)),
    isOutOfReach: (path) => view.isOutOfReach(at(path)),
    programText: (path) => view.programText(at(path)),
    pathOf: (path) => view.pathOf(at(path)),
  };
}

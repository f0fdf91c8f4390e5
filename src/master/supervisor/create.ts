/**
 * Creates the supervisor with its real ports: clock, processes, guardian, log.
 *
 * @module
 */
import { readForeignText } from "../../config/cf.ts";
import { MASTER_MAX_GENERATIONS } from "../../config/settings.ts";
import { logLine, zwarn } from "../../log/log.ts";
import type { LogLevel } from "../../log/record.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { mayChangeRoot, mayChangeUser, mayGiveTo } from "../../os/user/credentials.ts";
import { denoDir, withoutCaches } from "../../os/process/deno_dir.ts";
import type { LockWatch } from "../../os/process/lock_watch.ts";
import { cachePaths } from "../../os/process/deno_dir_paths.ts";
import { SysError } from "../../os/ffi/errors.ts";
import { guardedSpawner, Guardian } from "../../os/process/guardian.ts";
import {
  credentialsOf,
  hasCredentials,
  ownerOf,
  UnknownAccountError,
} from "../../os/user/accounts.ts";
import {
  fileMode,
  fileStamp,
  interpreterLine,
  isDeadLink,
  isDirectory,
  isExecutable,
  isFile,
  isOutOfReach,
  looseMode,
  pathInRoot,
  programText,
  realPath,
  searchPath,
} from "../../os/process/program_lookup.ts";
import { accessAs } from "../../os/process/file_access.ts";
import { setprivCommand } from "../../os/process/setpriv.ts";
import { lastChange, localModules } from "../../os/process/module_files.ts";
import { proportionalMemory } from "../../os/process/memory.ts";
import { systemSpawner } from "../../os/process/spawn.ts";
import type { WorkingDirectory } from "../../os/process/working_directory.ts";
import { setting } from "../services/configuration.ts";
import { createLauncher } from "../workers/launcher.ts";
import type { Counters } from "../counters/counters.ts";
import { listenerWatcher } from "../listeners/watches.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import type { ProgramLookup } from "../services/program_lookup.ts";
import { selfProgram } from "../services/self_program.ts";
import { Supervisor } from "./supervisor.ts";
import type { Ports } from "./ports.ts";
import type { OwnCommand } from "../upgrade/command.ts";
import type { LauncherOptions } from "../workers/worker.ts";

/**
 * Looks up programs on this machine.
 *
 * @param command How this process was started.
 * @param ownServers The names of the program's servers, if they are known.
 */
export function systemLookup(
  { program, openFiles, argv, cwd }: OwnCommand,
  ownServers?: readonly string[],
): ProgramLookup {
  return {
    get self() {
      return selfProgram({
        isCompiled: Deno.build.standalone,
        // All processes of a configuration are of the version that its link led to.
        path: () => realPath(program("name")),
        ...{ argv, argumentCount: Deno.args.length, mainModule: Deno.mainModule, cwd },
      });
    },
    ...(ownServers && { ownServers }),
    get denoPath() {
      return Deno.build.standalone ? undefined : program("file");
    },
    get selfPath() {
      return program("file");
    },
    denoVersion: Deno.version.deno,
    openFiles,
    searchPath: searchPath(),
    realPath,
    pathInRoot,
    isExecutable,
    isFile,
    isDeadLink,
    isOutOfReach,
    isDirectory,
    interpreterLine,
    fileStamp,
    fileMode,
    readForeignText,
    programText,
    lastChange,
    localModules,
    timeOfDayMs: Date.now,
    looseMode,
    mayChangeRoot,
    mayChangeUser,
    credentialsOf,
    hasCredentials,
    ownerOf,
    mayGiveTo,
    setprivCommand,
    accessAs,
    denoDir,
    cachePaths,
    umask: () => Deno.umask(),
    withoutCaches,
  };
}

/** What differs between masters. */
export type SystemSupervisorOptions =
  & Pick<Ports, "listeners" | "tell">
  & Pick<LauncherOptions, "poller" | "lookup" | "outputs">
  & {
    readonly workingDirectory: WorkingDirectory;
    readonly lockWatch: LockWatch;
    /** The generation of the old master, if there is one. */
    readonly generation?: number;
    readonly counters: Counters;
  };

/** Creates the supervisor of a master. */
export function systemSupervisor(options: SystemSupervisorOptions): Supervisor {
  const { listeners, tell, generation, counters, poller, lookup, outputs } = options;
  const { workingDirectory, lockWatch } = options;
  const guardian = new Guardian((error) =>
    zwarn(
      "no guardian, servers may outlive a killed master:",
      error instanceof SysError ? error.message : error,
    )
  );
  const spawner = guardedSpawner(systemSpawner, guardian);
  const log = (text: string, level: LogLevel = "info") => logLine(level, text);
  const cwd = workingDirectory.path;
  const launcher = createLauncher({ spawner, poller, lookup, outputs, cwd, log });
  return new Supervisor({
    clock: systemClock,
    timeOfDayMs: Date.now,
    listeners,
    tell,
    launcher: {
      launch(request, listener) {
        workingDirectory.ensure();
        // A process of the master's own user could kill the master as well.
        if (request.service.user !== undefined) lockWatch.start(uidOf(request.service, lookup));
        return launcher.launch(request, listener);
      },
    },
    log,
    debug: (text) => log(text, "debug"),
    random: Math.random,
    memoryOf: proportionalMemory,
    maxGenerations: () => setting(MASTER_MAX_GENERATIONS),
    watchListener: listenerWatcher(poller),
    afterTurn: (callback) => systemClock.setTimer(0, callback),
  }, { generation, counters });
}

/** The user of a service; undefined where only its program knows the name, in a root directory of its own. */
function uidOf({ credentials, user }: ResolvedService, lookup: ProgramLookup): number | undefined {
  if (credentials !== undefined) return credentials.uid;
  try {
    return lookup.credentialsOf({ user }).uid;
  } catch (error) {
    if (!(error instanceof UnknownAccountError)) throw error;
  }
}

/**
 * Starts a program in the simplest way that sets up everything it needs.
 *
 * @module
 */
import { type EnvironmentChange, environmentOf } from "../../os/process/environment.ts";
import { type ExecPlan, OWN_PID } from "../../os/process/exec.ts";
import type { InheritedState } from "../../os/process/libzc_start.ts";
import type { DeathSignal } from "../../os/process/process.ts";
import type { ChildProcess } from "../../os/process/child_process.ts";
import type { Spawner } from "../../os/process/spawn.ts";
import { SHIM_ARGUMENT, SHIM_VARIABLE } from "./exec_shim.ts";
import type { Program, ResolvedService } from "../policy/resolved_service.ts";
import { findExecutable, requireScript } from "../services/command.ts";
import { type ProgramLookup, type ProgramPlace, viewFrom } from "../services/program_lookup.ts";
import { serverVariables } from "../services/server_environment.ts";
import type { Credentials } from "../../os/user/accounts.ts";
import type { LaunchRequest } from "./worker.ts";

/** The rights with which a program is started. */
export interface StartRights {
  /** The user and the groups that it runs with, if not those of the master. */
  readonly credentials?: Credentials;
  /** Whether it runs with no_new_privs; always so with credentials. */
  readonly gainsNothing?: boolean;
  /** The changes to the master's environment. */
  readonly env?: EnvironmentChange;
}

/** A program, and everything that it is started with. */
export interface ProgramStart extends Program, StartRights {
  /**
   * Its `argv[0]`.
   *
   * @default {path}
   */
  readonly name?: string;
  /**
   * Its descriptors beside 0, 1 and 2, with the descriptors of this process to take them from.
   * Borrowed.
   */
  readonly fds: readonly { readonly from: number; readonly to: number }[];
  /**
   * The signal that it gets when the master ends, unless it asks for another one; only with the
   * shim.
   *
   * @default {"SIGHUP"}
   */
  readonly deathSignal?: DeathSignal;
  /** Whether it is a program of this framework; see `SpawnRequest`. */
  readonly blocksInspectorSignal: boolean;
  /** See `InheritedState`. */
  readonly inheritedState?: InheritedState;
  /** The write end of a pipe that the shim closes when it becomes the program. Borrowed. */
  readonly reportFd?: number;
}

/**
 * The program of a service and its rights. Nothing is looked up anew: the files must still be there, the
 * running Deno may have moved, and the directory without caches is made again.
 *
 * @param service The service.
 * @param place Where to look, and the generation and the slot of the process.
 * @throws {TypeError} When the program is gone.
 */
export function programToStart(
  service: ResolvedService,
  place: ProgramPlace & Pick<LaunchRequest, "generation" | "slot">,
): Program & StartRights {
  const { program, script, denoPath, selfBinary, credentials, gainsNothing, cacheless } = service;
  const { lookup } = place, view = viewFrom(service, place);
  if (script !== undefined) requireScript(script, service, view);
  const current = (word: string) => {
    if (word === denoPath) return view.denoPath!;
    // The file of this version may have been removed.
    const isGone = word === selfBinary && !view.isExecutable(word);
    return isGone && view.self?.kind === "binary" ? view.self.path : word;
  };
  if (program.path !== denoPath) findExecutable(current(program.path), view);
  return {
    ...program,
    path: current(program.path),
    args: program.args.map(current),
    env: {
      ...serverVariables(service, place),
      ...(cacheless && lookup.withoutCaches({ root: program.root, ...cacheless })),
    },
    ...(gainsNothing && { gainsNothing }),
    ...(credentials && { credentials }),
  };
}

/** How to start processes, and how to find the shim. */
export interface ProgramStarter {
  readonly spawner: Spawner;
  readonly lookup: ProgramLookup;
}

/**
 * Starts a program.
 *
 * @param start The program.
 * @param starter How to start it.
 * @returns Its process.
 * @throws {Error} When no process can be started, or the program can't be executed.
 */
export function startProgram(start: ProgramStart, starter: ProgramStarter): ChildProcess {
  const { path, args, name = path, fds, directory, blocksInspectorSignal, inheritedState } = start;
  const { spawner, lookup } = starter;
  if (needsShim(start, starter)) return startByShim(start, starter);
  const argv = changesRights(start)
    ? [...lookup.setprivCommand(start.credentials)!, path, ...args]
    : [name, ...args];
  return spawner.spawnPlaced({
    path: changesRights(start) ? argv[0] : path,
    argv,
    fds,
    directory,
    env: environmentFor(start),
    // setpriv(1) keeps the signal mask.
    blocksInspectorSignal,
    inheritedState,
  });
}

/**
 * Whether a program is started through the shim, so that its process runs another program at first.
 */
export function needsShim(start: ProgramStart, { lookup }: ProgramStarter): boolean {
  const { path, name = path, root, directory, env = {}, credentials } = start;
  if (root !== undefined) return true;
  // It is entered with the rights of the program's user, not with those of the master.
  if (directory !== undefined && credentials !== undefined) return true;
  if (env.LISTEN_PID === OWN_PID) return true;
  // setpriv(1) still runs as the master's user, and must not load what these name.
  if (changesRights(start) && Object.keys(env).some((key) => OF_LOADER.test(key))) return true;
  // setpriv(1) passes the path on as the name.
  return changesRights(start) &&
    (name !== path || lookup.setprivCommand(credentials) === undefined);
}

/** Variables by which the C library loads files into a program, setpriv(1) included (ld.so(8)). */
const OF_LOADER = /^(?:LD_.*|GCONV_PATH|GLIBC_TUNABLES|LOCPATH|NLSPATH|MALLOC_.*)$/;

function changesRights({ credentials, gainsNothing }: StartRights): boolean {
  return credentials !== undefined || gainsNothing === true;
}

/** Adds the variables of its user. */
function environmentFor({ credentials, env }: StartRights): EnvironmentChange | undefined {
  return credentials === undefined ? env : { ...environmentOf(credentials), ...env };
}

function startByShim(start: ProgramStart, { spawner, lookup }: ProgramStarter): ChildProcess {
  const { path, args, name = path, fds, env = {}, reportFd } = start;
  const { root, directory, credentials, gainsNothing, deathSignal = "SIGHUP" } = start;
  const { blocksInspectorSignal } = start;
  const parent = Deno.pid, argv = [name, ...args];
  const plan: Omit<ExecPlan, "env"> = {
    ...{ path, argv, fds, credentials, gainsNothing, root, directory, deathSignal, parent },
    blocksInspectorSignal,
    inheritedState: start.inheritedState,
  };
  const command = shimCommand(lookup);
  return spawner.spawnPlaced({
    path: command[0],
    argv: [...command, JSON.stringify(plan)],
    fds: [...fds.map(({ from }) => from), ...(reportFd === undefined ? [] : [reportFd])]
      .map((fd) => ({ from: fd, to: fd })),
    env: { [SHIM_VARIABLE]: JSON.stringify(env) },
    // The shim is a program of this framework itself.
    blocksInspectorSignal: true,
  });
}

/** The shim is a script, or in a compiled program the program itself with another argument. */
function shimCommand({ denoPath, selfPath }: ProgramLookup): string[] {
  return denoPath === undefined
    ? [selfPath, SHIM_ARGUMENT]
    : [denoPath, "run", "-A", "--no-config", import.meta.resolve("./exec_shim.ts"), SHIM_ARGUMENT];
}

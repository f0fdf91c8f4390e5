/**
 * Starting a program in the simplest way that gives it all that it needs.
 *
 * @module
 */
import type { ExecPlan } from "../os/exec.ts";
import type { Identity } from "../os/identity.ts";
import type { DeathSignal } from "../os/process.ts";
import type { ChildProcess } from "../os/child_process.ts";
import type { Spawner } from "../os/spawn.ts";
import { SHIM_ARGUMENT } from "./exec_shim.ts";
import type { Program, ProgramLookup } from "./program.ts";

/** A program with all that it needs. */
export interface ProgramStart extends Program {
  /**
   * Its `argv[0]`.
   *
   * @default {path}
   */
  readonly name?: string;
  /** Its descriptors beside 0, 1 and 2, and those of this process that they are. Borrowed. */
  readonly fds: readonly { readonly from: number; readonly to: number }[];
  /** The user and the groups that it runs with, if not those of the master. */
  readonly identity?: Identity;
  /** What to add to its environment; `{pid}` stands for its pid. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * What it gets when the master ends, unless it asks for something else; only with the shim.
   *
   * @default {"SIGHUP"}
   */
  readonly deathSignal?: DeathSignal;
  /** Whether it is a program of this framework: see `SpawnRequest`. */
  readonly blocksInspectorSignal: boolean;
  /** The write end of a pipe that the shim closes when it becomes the program. Borrowed. */
  readonly reportFd?: number;
}

/** How to start processes, and where the shim is. */
export interface ProgramStarter {
  readonly spawner: Spawner;
  readonly lookup: ProgramLookup;
}

/**
 * Starts a program.
 *
 * @param start The program.
 * @param starter The means.
 * @returns Its process.
 * @throws {Error} When no process can be started, or the program can't be executed.
 */
export function startProgram(start: ProgramStart, starter: ProgramStarter): ChildProcess {
  const { path, args, name = path, fds, blocksInspectorSignal } = start;
  if (needsShim(start)) return startByShim(start, starter);
  // The runtime can pass on nothing but UTF-8.
  const isText = [path, ...args].every((word) => word.isWellFormed());
  if (!isText || name !== path || fds.some(({ from, to }) => from !== to)) {
    return starter.spawner.spawnPlaced({ path, argv: [name, ...args], fds, blocksInspectorSignal });
  }
  const inherit = fds.map(({ from }) => from);
  return starter.spawner.spawn({ argv: [path, ...args], inherit, blocksInspectorSignal });
}

/**
 * Whether a program is started by way of the shim, so that its process is another program at first.
 *
 * @param start The program.
 */
export function needsShim({ root, directory, env, identity }: ProgramStart): boolean {
  return [root, directory, env, identity].some((change) => change !== undefined);
}

function startByShim(start: ProgramStart, { spawner, lookup }: ProgramStarter): ChildProcess {
  const { path, args, name = path, fds, env = {}, reportFd } = start;
  const { root, directory, identity, deathSignal = "SIGHUP", blocksInspectorSignal } = start;
  const plan: ExecPlan = {
    path,
    argv: [name, ...args],
    fds,
    env,
    identity,
    root,
    directory,
    deathSignal,
    parent: Deno.pid,
    blocksInspectorSignal,
  };
  return spawner.spawn({
    argv: [...shimCommand(lookup), JSON.stringify(plan)],
    inherit: [...fds.map(({ from }) => from), ...(reportFd === undefined ? [] : [reportFd])],
    // The shim is one itself, whatever it becomes.
    blocksInspectorSignal: true,
  });
}

/** The shim is a script of its own, or, in a compiled program, that program by another argument. */
function shimCommand({ denoPath, selfPath }: ProgramLookup): string[] {
  return denoPath === undefined
    ? [selfPath, SHIM_ARGUMENT]
    : [denoPath, "run", "-A", "--no-config", import.meta.resolve("./exec_shim.ts"), SHIM_ARGUMENT];
}

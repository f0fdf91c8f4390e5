/**
 * Starting processes, as a port that tests replace.
 *
 * @module
 */
import { setCloseOnExec } from "../fd/descriptor.ts";
import { type EnvironmentChange, environmentWith } from "./environment.ts";
import { type ChildProcess, type ExitStatus, UNKNOWN_EXIT } from "./child_process.ts";
import { withInspectorSignalBlocked } from "./inspector_signal.ts";
import {
  killIfPermitted,
  NO_UPDATE_CHECK,
  type PlacedRequest,
  spawnPlaced,
} from "./posix_spawn.ts";
import { findZombie } from "./waitid.ts";

/** The program to start. */
export interface SpawnRequest {
  /** The program and its arguments. */
  readonly argv: readonly string[];
  /** The descriptors beside 0, 1 and 2 that the process inherits at the same numbers. Borrowed. */
  readonly inherit: readonly number[];
  /**
   * Its working directory.
   *
   * @default {Deno.cwd()}
   */
  readonly cwd?: string;
  /** Changes to the environment of this process. */
  readonly env?: EnvironmentChange;
  /**
   * Whether it is a program of the runtime, in which SIGUSR1 must stay blocked until it handles it; see
   * {@linkcode withInspectorSignalBlocked}.
   *
   * @default {false}
   */
  readonly blocksInspectorSignal?: boolean;
}

/** Starts processes. */
export interface Spawner {
  /**
   * Starts a process with Deno.Command.
   *
   * @param request The program.
   * @returns The running process.
   * @throws {Error} When it can't be started: no such program, not permitted, no more processes.
   */
  spawn(request: SpawnRequest): ChildProcess;
  /** See {@linkcode spawnPlaced}. */
  spawnPlaced(request: PlacedRequest): ChildProcess;
}

/** Starts real processes: standard input empty, output and errors shared. */
export const systemSpawner: Spawner = {
  spawnPlaced,
  spawn({ argv, inherit, cwd, env, blocksInspectorSignal = false }) {
    const [program, ...args] = argv;
    const command = new Deno.Command(program, {
      args,
      cwd,
      clearEnv: true,
      env: environmentWith({ ...NO_UPDATE_CHECK, ...env }),
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    });
    // spawn() is synchronous, so that only this child starts while the flags are off.
    try {
      for (const fd of inherit) setCloseOnExec(fd, false);
      const start = () => command.spawn();
      return childProcess(blocksInspectorSignal ? withInspectorSignalBlocked(start) : start());
    } finally {
      for (const fd of inherit) setCloseOnExec(fd, true);
    }
  },
};

function childProcess(child: Deno.ChildProcess): ChildProcess {
  let ended: ExitStatus | undefined;
  const exited = child.status.then(
    ({ code, signal }) => ended = { code, signal },
    () => ended = UNKNOWN_EXIT,
  );
  return {
    pid: child.pid,
    exited,
    status: () => ended ?? findZombie(child.pid)?.status,
    unref: () => child.unref(),
    kill(signal) {
      if (ended !== undefined) return;
      try {
        killIfPermitted(() => child.kill(signal));
      } catch (error) {
        // The runtime has reaped it, and reports that in the next turn of the event loop.
        if (!(error instanceof TypeError)) throw error;
      }
    },
  };
}

/**
 * A worker process as the supervisor sees it: a port. It never sees a socket, a pipe or a message.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { Poller } from "../../os/fd/poller.ts";
import type { ExitStatus, KillSignal } from "../../os/process/child_process.ts";
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import type { Spawner } from "../../os/process/spawn.ts";
import type { ProgramLookup } from "../services/command.ts";

/** What a worker tells. */
export interface WorkerEvents {
  /** A standby has loaded, and waits. */
  onLoaded(): void;
  /** It serves. */
  onReady(): void;
  /** It accepts no more, and ends within that many seconds. */
  onDraining(seconds: number): void;
  /** It goes its own way. */
  onDetach(): void;
  /** Its event loop goes round. */
  onHeartbeat(): void;
  /** It has accepted as many connections as it may. */
  onSpent(): void;
  /** It is in use from now on, or has been idle for `server-idle-exit`. */
  onUsed(used: boolean): void;
  /** It can't be told anything any more; it may still run. */
  onLost(error?: Error): void;
  /** It has ended. Nothing is told after this. */
  onExit(status: ExitStatus): void;
}

/** A running worker. */
export interface RunningWorker {
  readonly pid: number;
  /** Whether it has its listeners open for as long as it runs, and not only until it drains. */
  readonly keepsListeners: boolean;
  /**
   * Has a standby serve.
   *
   * @param post What it serves.
   * @returns Whether it runs; one that has just ended is told nothing.
   */
  activate(post: WorkerPost): boolean;
  /**
   * Tells it to accept no more, finish, and end.
   *
   * @param closing The places of those of its addresses that are closed for good: what waits there
   * is still to be accepted.
   */
  softstop(closing: readonly number[]): void;
  /** Takes note that nobody takes its place: one that would take an hour to finish is hurried. */
  notReplaced(): void;
  /**
   * Hands it the files of standard outputs that were opened anew, if it is one that can take them.
   *
   * @param outputs Which they are.
   */
  changeOutputs(outputs: readonly ChangedOutput[]): void;
  /** Sends it a signal. */
  kill(signal: KillSignal): void;
}

/** What a worker serves. */
export interface WorkerPost {
  /** The service's listeners, in the order of its addresses. Borrowed. */
  readonly fds: readonly number[];
  /** How many connections it may accept; without it there is no limit. */
  readonly maxConnections?: number;
}

/** What to start. */
export interface LaunchRequest extends WorkerPost {
  readonly service: ServiceConfig;
  readonly generation: number;
  /**
   * Whether it is to load everything and wait until it is enlisted; it gets its post only then, and
   * `fds` is empty here.
   *
   * @default {false}
   */
  readonly isStandby?: boolean;
}

/** Starts workers, as a port that tests replace. */
export interface Launcher {
  /**
   * Starts a worker.
   *
   * @param request What to start.
   * @param listener Told of what it does; never before this call returns.
   * @returns The worker.
   * @throws {Error} When it can't be started; nothing is left behind then.
   */
  launch(request: LaunchRequest, listener: WorkerEvents): RunningWorker;
}

/** What the real launcher needs. */
export interface LauncherOptions {
  readonly spawner: Spawner;
  readonly poller: Poller;
  readonly lookup: ProgramLookup;
  /** The directory of the settings files, if there is one. */
  readonly configPath?: string;
  /** The working directory of the master. */
  readonly cwd: string;
  /** Takes lines for the log. */
  log(text: string): void;
}

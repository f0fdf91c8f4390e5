/**
 * A worker process as the supervisor sees it: a port without sockets, pipes or messages.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import type { Poller } from "../../os/fd/poller.ts";
import type { ExitStatus, KillSignal } from "../../os/process/child_process.ts";
import type { ChangedOutput } from "../../os/fs/output_files.ts";
import type { Spawner } from "../../os/process/spawn.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import type { ServerOutputs } from "../outputs/server_outputs.ts";
import type { ProgramLookup } from "../services/program_lookup.ts";

/** The events of a worker. */
export interface WorkerEvents {
  /** A standby has loaded, and waits. */
  onLoaded(): void;
  /** It is ready. */
  onReady(): void;
  /** It accepts no more connections, and ends within this number of seconds. */
  onDraining(seconds: number): void;
  /** It has left supervision. */
  onDetach(): void;
  /** Its event loop runs. */
  onHeartbeat(): void;
  /** It has reached its number of connections. */
  onSpent(): void;
  /** It is in use from now on, or has been idle for `server-idle-exit`. */
  onUsed(used: boolean): void;
  /** Its connections, after {@linkcode RunningWorker.askCounts}. */
  onCounts(counts: ConnectionCounts): void;
  /** It receives no more messages; its process may still run. */
  onLost(error?: Error): void;
  /**
   * It has ended. No event follows.
   *
   * @param status How.
   * @param lastWords The last line that it has written to stderr, if that was shortly before.
   */
  onExit(status: ExitStatus, lastWords?: string): void;
}

/** The connections of a worker. */
export interface ConnectionCounts {
  /** The open ones; undefined if it can't count them. */
  readonly open?: number;
  /** The accepted ones; undefined if it can't count them. */
  readonly accepted?: number;
}

/** A running worker. */
export interface RunningWorker {
  readonly pid: number;
  /** Whether it holds its listeners until it ends, and not only until it drains. */
  readonly keepsListeners: boolean;
  /**
   * Activates a standby.
   *
   * @param assignment What it serves.
   * @returns Whether it still runs.
   */
  activate(assignment: WorkerAssignment): boolean;
  /**
   * Tells it to accept no more connections, finish those that it has, and end.
   *
   * @param closing The indexes of its addresses that are closed for good; connections in their
   * queues are still accepted.
   */
  softstop(closing: readonly number[]): void;
  /** Tells it that no other worker replaces it, which shortens a drain time of an hour. */
  notReplaced(): void;
  /**
   * Sends it the reopened files of its standard outputs, if it can receive them.
   *
   * @param outputs The reopened outputs.
   */
  changeOutputs(outputs: readonly ChangedOutput[]): void;
  /**
   * Asks it for its connections.
   *
   * @returns Whether it may answer: its protocol has an answer, and it reads what it is sent.
   */
  askCounts(): boolean;
  /** Sends it a signal. */
  kill(signal: KillSignal): void;
}

/** What a worker serves. */
export interface WorkerAssignment {
  /** The service's listeners, in the order of its addresses. Borrowed. */
  readonly fds: readonly number[];
  /** How many connections it may accept; without it there is no limit. */
  readonly maxConnections?: number;
}

/** What to start. */
export interface LaunchRequest extends WorkerAssignment {
  readonly service: ResolvedService;
  readonly generation: number;
  /** Its slot among the processes of the service; a standby has none yet. */
  readonly slot?: number;
  /**
   * Whether it is to load and then wait for its activation. It gets its listeners only then, and
   * `fds` is empty here.
   *
   * @default {false}
   */
  readonly isStandby?: boolean;
}

/** Starts workers; a port that tests replace. */
export interface Launcher {
  /**
   * Starts a worker.
   *
   * @param request What to start.
   * @param listener Receives its events; never before this call returns.
   * @returns The worker.
   * @throws {Error} When it can't be started; nothing is left behind then.
   */
  launch(request: LaunchRequest, listener: WorkerEvents): RunningWorker;
}

/** The options of the real launcher. */
export interface LauncherOptions {
  readonly spawner: Spawner;
  readonly poller: Poller;
  readonly lookup: ProgramLookup;
  readonly outputs: ServerOutputs;
  /** The working directory of the master. */
  readonly cwd: string;
  /** Writes a line to the log, by default at the level `info`. */
  log(text: string, level?: LogLevel): void;
}

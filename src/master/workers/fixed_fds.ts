/**
 * A worker that finds its listeners at fixed descriptors: a program of LIB-ZC, or one that supports
 * systemd's socket activation.
 *
 * Such a program can't report that it is ready: it counts as ready once it has lived for a while.
 *
 * @module
 */
import {
  CHILD_STATUS_FD,
  FIRST_LISTENER_FD,
  LISTEN_FDS_START,
  MASTER_STATUS_FD,
} from "../../ipc/service_list.ts";
import { systemClock, type Timer } from "../../os/clock/clock.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import { ERRORS_ONLY, type Watch } from "../../os/fd/poller.ts";
import { pipe } from "../../os/net/socket.ts";
import { OWN_PID } from "../../os/process/exec.ts";
import type { ChildProcess, KillSignal } from "../../os/process/child_process.ts";
import type { LauncherOptions, LaunchRequest, RunningWorker, WorkerEvents } from "./worker.ts";
import { EARLY_DEATH_MS } from "../policy/timeouts.ts";
import type { ProcessOutputs } from "../outputs/process_outputs.ts";
import {
  needsShim,
  type ProgramStart,
  programToStart,
  startProgram,
  type StartRights,
} from "./start.ts";

/**
 * A program that can't run, because of a missing library or a wrong setting, ends within this time.
 * A program that still runs is taken to be ready, so that a reload stops the old workers only then.
 */
const READY_AFTER_MS = EARLY_DEATH_MS;

/**
 * How long the closing of the child status may precede the report of the exit; if no exit is
 * reported within this time, the process has detached.
 */
const EXIT_NEWS_MS = 100;

/** The time before SIGTERM for a server that would drain for an hour and is not replaced. */
const NOT_REPLACED_MS = 1_000;

/** The drain time of a LIB-ZC program that decides it itself (section 5). */
const LONGEST_SECONDS = 3600;

/**
 * Starts a worker; see {@linkcode Launcher.launch}.
 *
 * @param request What to start.
 * @param listener Receives its events.
 * @param options The launcher's options.
 */
export function launchDescriptorWorker(
  request: LaunchRequest,
  listener: WorkerEvents,
  options: LauncherOptions,
): RunningWorker {
  return new DescriptorWorker(request, listener, options);
}

class DescriptorWorker implements RunningWorker {
  readonly keepsListeners = true;
  readonly #request: LaunchRequest;
  readonly #listener: WorkerEvents;
  readonly #options: LauncherOptions;
  readonly #child: ChildProcess;
  /** This process's ends of the pipes, each with its watch. */
  readonly #ends = new Map<number, Watch | undefined>();
  readonly #timers = new Set<Timer>();
  /** The read end of the master status pipe; only LIB-ZC programs have one. */
  #masterStatus?: number;
  #outputs?: ProcessOutputs;

  constructor(
    request: LaunchRequest,
    listener: WorkerEvents,
    options: LauncherOptions,
  ) {
    this.#request = request;
    this.#listener = listener;
    this.#options = options;
    /** The child's ends of the pipes. */
    const childEnds: number[] = [];
    let child: ChildProcess | undefined;
    try {
      this.#child = child = this.#start(childEnds);
      this.#outputs?.begin(child.pid);
    } catch (error) {
      child?.kill("SIGKILL");
      this.#release();
      if (this.#outputs !== undefined) options.outputs.abandon(this.#outputs);
      throw error;
    } finally {
      childEnds.forEach(closeFd);
    }
    this.#child.exited.then((status) => {
      this.#release();
      listener.onExit(status, options.outputs.end(this.#outputs!));
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Never called: such a program can't receive descriptors once it runs. */
  activate(): boolean {
    return false;
  }

  softstop(): void {
    const seconds = this.#softstopSeconds();
    if (this.#masterStatus === undefined) this.kill("SIGTERM");
    else this.#close(this.#masterStatus);
    // Not from within the call. The program never announces its drain time itself.
    this.#after(0, () => this.#listener.onDraining(seconds));
  }

  notReplaced(): void {
    // LIB-ZC sends SIGTERM at once to a server that is left without listeners.
    const takesAnHour = this.#softstopSeconds() === LONGEST_SECONDS;
    if (takesAnHour) this.#after(NOT_REPLACED_MS, () => this.kill("SIGTERM"));
  }

  /** Such a program receives no messages. */
  changeOutputs(): void {}

  askCounts(): boolean {
    return false;
  }

  kill(signal: KillSignal): void {
    this.#child.kill(signal);
  }

  #softstopSeconds(): number {
    const { softstopAfterMs, drainTimeoutMs } = this.#request.service;
    if (this.#masterStatus === undefined) return (softstopAfterMs ?? drainTimeoutMs) / 1000;
    // With a before-softstop hook, less than a second counts as an hour.
    const seconds = (softstopAfterMs ?? 0) / 1000;
    return seconds < 1 ? LONGEST_SECONDS : seconds;
  }

  #start(childEnds: number[]): ChildProcess {
    const { protocol } = this.#request.service;
    const start = protocol === "libzc"
      ? this.#libzcStart(childEnds)
      : this.#systemdStart(childEnds);
    if (!needsShim(start, this.#options)) {
      const child = startProgram(start, this.#options);
      this.#readySoon();
      return child;
    }
    // The shim's end is closed when the shim becomes the program, or ends.
    const [report, reportFd] = this.#pipe(childEnds, "read");
    this.#watch(report, () => {
      this.#close(report);
      this.#readySoon();
    });
    return startProgram({ ...start, reportFd }, this.#options);
  }

  #libzcStart(childEnds: number[]): ProgramStart {
    const { service, fds } = this.#request;
    const [masterStatus, masterStatusOfChild] = this.#pipe(childEnds, "read");
    const [childStatus, childStatusOfChild] = this.#pipe(childEnds, "write");
    this.#masterStatus = masterStatus;
    this.#watch(childStatus, () => this.#onChildStatus(childStatus));
    const { args, ...program } = programToStart(service, { ...this.#options, ...this.#request });
    const outputs = this.#prepareOutputs(program, childEnds);
    return {
      ...program,
      blocksInspectorSignal: false,
      inheritedState: { ignoresChildren: true, openFiles: this.#openFiles() },
      name: program.path.slice(program.path.lastIndexOf("/") + 1),
      // A command with its own arguments is usually an interpreter with its script.
      args: [...args, ...service.argv],
      fds: [
        { from: masterStatusOfChild, to: MASTER_STATUS_FD },
        { from: childStatusOfChild, to: CHILD_STATUS_FD },
        ...fds.map((from, index) => ({ from, to: FIRST_LISTENER_FD + index })),
        ...outputs.fds,
      ],
    };
  }

  #systemdStart(childEnds: number[]): ProgramStart {
    const { service, fds } = this.#request;
    const names = service.endpoints.map(({ service: name }) => name || "unknown");
    const { env, ...program } = programToStart(service, { ...this.#options, ...this.#request });
    return {
      ...program,
      blocksInspectorSignal: false,
      inheritedState: { ignoresChildren: false, openFiles: this.#openFiles() },
      fds: [
        ...fds.map((from, index) => ({ from, to: LISTEN_FDS_START + index })),
        ...this.#prepareOutputs(program, childEnds).fds,
      ],
      // Most of these programs reload on SIGHUP.
      deathSignal: "SIGTERM",
      env: {
        ...env,
        LISTEN_PID: OWN_PID,
        LISTEN_FDS: String(fds.length),
        LISTEN_FDNAMES: names.join(":"),
      },
    };
  }

  #prepareOutputs(rights: StartRights, childEnds: number[]): ProcessOutputs {
    const { service } = this.#request;
    return this.#outputs = this.#options.outputs.prepare({ ...rights, service, childEnds });
  }

  /**
   * The limit of open files, as in LIB-ZC: the same as for the master, and at least enough for the
   * listeners.
   */
  #openFiles(): number {
    return Math.max(this.#options.lookup.openFiles, FIRST_LISTENER_FD + this.#request.fds.length);
  }

  #readySoon(): void {
    this.#after(READY_AFTER_MS, () => this.#listener.onReady());
  }

  /** The child status is closed: the process has ended, or has closed its end to detach. */
  #onChildStatus(childStatus: number): void {
    this.#close(childStatus);
    this.#after(EXIT_NEWS_MS, () => this.#listener.onDetach());
  }

  /** Calls back after a time, unless the process has ended by then. */
  #after(delayMs: number, callback: () => void): void {
    const timer = systemClock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
  }

  /** A pipe of which this process keeps one end. */
  #pipe(childEnds: number[], keep: "read" | "write"): [masterEnd: number, childEnd: number] {
    const [read, write] = pipe();
    const [ours, their] = keep === "read" ? [read, write] : [write, read];
    this.#ends.set(ours, undefined);
    childEnds.push(their);
    return [ours, their];
  }

  #watch(fd: number, callback: () => void): void {
    this.#ends.set(fd, this.#options.poller.watch(fd, ERRORS_ONLY, callback));
  }

  #close(fd: number): void {
    if (!this.#ends.has(fd)) return;
    this.#ends.get(fd)?.stop();
    this.#ends.delete(fd);
    closeFd(fd);
  }

  #release(): void {
    for (const timer of this.#timers) timer.cancel();
    for (const fd of [...this.#ends.keys()]) this.#close(fd);
  }
}

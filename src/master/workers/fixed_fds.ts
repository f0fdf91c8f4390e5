/**
 * A worker that finds its listeners at fixed descriptors: a program of LIB-ZC, or one that knows
 * systemd's socket activation.
 *
 * Such a program can't say that it is ready: it counts as ready when it has lived for a while.
 *
 * @module
 */
import { CHILD_STATUS_FD, FIRST_LISTENER_FD, MASTER_STATUS_FD } from "../../ipc/service_list.ts";
import { systemClock, type Timer } from "../../os/clock/clock.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import type { Watch } from "../../os/fd/poller.ts";
import { pipe } from "../../os/net/socket.ts";
import type { ChildProcess, KillSignal } from "../../os/process/child_process.ts";
import type { LauncherOptions, LaunchRequest, RunningWorker, WorkerEvents } from "./worker.ts";
import { EARLY_DEATH_MS } from "../policy/decide.ts";
import { programToStart } from "../services/privileges.ts";
import { serverArguments, settingArguments } from "../services/server_argv.ts";
import { needsShim, type ProgramStart, startProgram } from "./start.ts";

/** The first descriptor of systemd's protocol (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3;

/** Errors and hang-ups, which epoll always reports, and nothing else. */
const ERRORS_ONLY = 0;

/**
 * A program that can't be run at all, for lack of a library or for a wrong setting, ends sooner; one
 * that is still there is taken to serve, so that a reload ends its predecessors only then.
 */
const READY_AFTER_MS = EARLY_DEATH_MS;

/**
 * How long the closing of the child status may be ahead of the news that the process has ended: only
 * after that it means that the process lives on, detached.
 */
const EXIT_NEWS_MS = 100;

/**
 * How long a server that would take its hour, and in whose place nobody comes, has before SIGTERM.
 */
const NOT_REPLACED_MS = 1_000;

/** What systemd's programs have to finish in, without `server-stop-on-softstop-after`. */
const STOP_SECONDS = 30;

/** How long a program of LIB-ZC may take that has its own ideas about it (section 5). */
const LONGEST_SECONDS = 3600;

/** Which of the two it is. */
export interface DescriptorWorkerOptions extends LauncherOptions {
  readonly protocol: "libzc" | "systemd";
}

/**
 * Starts one, as {@linkcode Launcher.launch} does.
 *
 * @param request What to start.
 * @param listener Told of what it does.
 * @param options The launcher's, and the protocol.
 */
export function launchDescriptorWorker(
  request: LaunchRequest,
  listener: WorkerEvents,
  options: DescriptorWorkerOptions,
): RunningWorker {
  return new DescriptorWorker(request, listener, options);
}

class DescriptorWorker implements RunningWorker {
  readonly keepsListeners = true;
  readonly #request: LaunchRequest;
  readonly #listener: WorkerEvents;
  readonly #options: DescriptorWorkerOptions;
  readonly #child: ChildProcess;
  /** This process's ends of the pipes, with what ends the watching of each. */
  readonly #ends = new Map<number, Watch | undefined>();
  readonly #timers = new Set<Timer>();
  /** The read end of the master status; only LIB-ZC's programs have one. */
  #masterStatus?: number;

  constructor(
    request: LaunchRequest,
    listener: WorkerEvents,
    options: DescriptorWorkerOptions,
  ) {
    this.#request = request;
    this.#listener = listener;
    this.#options = options;
    /** The child's ends of the pipes. */
    const theirs: number[] = [];
    try {
      this.#child = this.#start(theirs);
    } catch (error) {
      this.#release();
      throw error;
    } finally {
      theirs.forEach(closeFd);
    }
    this.#child.exited.then((status) => {
      this.#release();
      listener.onExit(status);
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Never asked for: such a program can't be handed anything once it runs. */
  activate(): boolean {
    return false;
  }

  softstop(): void {
    const seconds = this.#softstopSeconds();
    if (this.#masterStatus === undefined) this.kill("SIGTERM");
    else this.#close(this.#masterStatus);
    // Not from within the call; and it never says itself how long it will take.
    this.#after(0, () => this.#listener.onDraining(seconds));
  }

  notReplaced(): void {
    // LIB-ZC sends one at once to a server that is left without listeners.
    const takesAnHour = this.#softstopSeconds() === LONGEST_SECONDS;
    if (takesAnHour) this.#after(NOT_REPLACED_MS, () => this.kill("SIGTERM"));
  }

  /** Such a program can't be told. */
  changeOutputs(): void {}

  kill(signal: KillSignal): void {
    this.#child.kill(signal);
  }

  #softstopSeconds(): number {
    const { softstopAfterMs } = this.#request.service;
    if (this.#masterStatus === undefined) return (softstopAfterMs ?? STOP_SECONDS * 1000) / 1000;
    // With a before-softstop hook less than a second counts as an hour.
    const seconds = (softstopAfterMs ?? 0) / 1000;
    return seconds < 1 ? LONGEST_SECONDS : seconds;
  }

  #start(theirs: number[]): ChildProcess {
    const { protocol } = this.#options;
    const start = protocol === "libzc" ? this.#libzcStart(theirs) : this.#systemdStart();
    if (!needsShim(start, this.#options)) {
      const child = startProgram(start, this.#options);
      this.#readySoon();
      return child;
    }
    // The shim's end is closed when it becomes the program, or ends.
    const [report, reportFd] = this.#pipe(theirs, "read");
    this.#watch(report, () => {
      this.#close(report);
      this.#readySoon();
    });
    return startProgram({ ...start, reportFd }, this.#options);
  }

  #libzcStart(theirs: number[]): ProgramStart {
    const { service, fds } = this.#request;
    const [masterStatus, masterStatusOfChild] = this.#pipe(theirs, "read");
    const [childStatus, childStatusOfChild] = this.#pipe(theirs, "write");
    this.#masterStatus = masterStatus;
    this.#watch(childStatus, () => this.#onChildStatus(childStatus));
    const { args, ...program } = programToStart(service, this.#options);
    return {
      ...program,
      blocksInspectorSignal: false,
      inheritedState: { ignoresChildren: true, openFiles: this.#openFiles() },
      name: program.path.slice(program.path.lastIndexOf("/") + 1),
      // A command with arguments of its own is an interpreter and its script, or the like.
      args: [...args, ...serverArguments(service, this.#options), ...settingArguments(service)],
      fds: [
        { from: masterStatusOfChild, to: MASTER_STATUS_FD },
        { from: childStatusOfChild, to: CHILD_STATUS_FD },
        ...fds.map((from, index) => ({ from, to: FIRST_LISTENER_FD + index })),
      ],
    };
  }

  #systemdStart(): ProgramStart {
    const { service, fds } = this.#request;
    const names = service.endpoints.map(({ service: name }) => name || "unknown");
    return {
      ...programToStart(service, this.#options),
      blocksInspectorSignal: false,
      inheritedState: { ignoresChildren: false, openFiles: this.#openFiles() },
      fds: fds.map((from, index) => ({ from, to: LISTEN_FDS_START + index })),
      // SIGHUP is a reload to most of these.
      deathSignal: "SIGTERM",
      env: {
        LISTEN_PID: "{pid}",
        LISTEN_FDS: String(fds.length),
        LISTEN_FDNAMES: names.join(":"),
      },
    };
  }

  /** As in LIB-ZC, with which a server may use as many files as its master; its listeners it has in any case. */
  #openFiles(): number {
    return Math.max(this.#options.lookup.openFiles, FIRST_LISTENER_FD + this.#request.fds.length);
  }

  #readySoon(): void {
    this.#after(READY_AFTER_MS, () => this.#listener.onReady());
  }

  /** Nobody is left to read: the process has ended, or has closed its end to detach. */
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
  #pipe(theirs: number[], keep: "read" | "write"): [ours: number, theirs: number] {
    const [read, write] = pipe();
    const [ours, their] = keep === "read" ? [read, write] : [write, read];
    this.#ends.set(ours, undefined);
    theirs.push(their);
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

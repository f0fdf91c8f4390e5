/**
 * A launcher for tests: its workers are objects that do what a test says.
 *
 * @module
 */
import type { KillSignal } from "../../src/os/process/child_process.ts";
import type {
  Launcher,
  LaunchRequest,
  RunningWorker,
  WorkerAssignment,
  WorkerEvents,
} from "../../src/master/workers/worker.ts";

/** A worker without a process. */
export class FakeWorker implements RunningWorker {
  readonly keepsListeners = false;
  /** What it was told, in order. */
  readonly told: ("softstop" | KillSignal)[] = [];
  /** Whether it is still there. */
  running = true;
  /** Whether it has ended, and the news of that is still on its way. */
  isDead = false;

  /**
   * Makes one; {@linkcode FakeLauncher.launch} does so.
   *
   * @param pid Its number.
   * @param request What it was started for.
   * @param listener Who is told of what it does; a test calls it to let the worker do something.
   * @param onActivate Called when it is activated.
   */
  constructor(
    readonly pid: number,
    readonly request: LaunchRequest,
    readonly listener: WorkerEvents,
    readonly onActivate?: (worker: FakeWorker) => void,
  ) {}

  /** What it serves since it was activated; undefined for one that was no standby, or still is. */
  assignment?: WorkerAssignment;

  /** The listeners that it has. */
  get fds(): readonly number[] {
    return (this.assignment ?? this.request).fds;
  }

  /** Whether it is a standby. */
  get isStandby(): boolean {
    return this.request.isStandby === true && this.assignment === undefined;
  }

  /**
   * Takes note.
   *
   * @param assignment What it serves from now on.
   * @returns Whether it runs.
   */
  activate(assignment: WorkerAssignment): boolean {
    if (this.isDead) return false;
    this.assignment = assignment;
    this.onActivate?.(this);
    return true;
  }

  /** The places of its addresses that it was told are closed for good. */
  closing: readonly number[] = [];

  /**
   * Takes note.
   *
   * @param closing The places of addresses that are closed for good.
   */
  softstop(closing: readonly number[]): void {
    this.told.push("softstop");
    this.closing = closing;
  }

  /** Makes no difference to a worker that takes no time. */
  notReplaced(): void {}

  /** Makes no difference to a worker that prints nothing. */
  changeOutputs(): void {}

  askCounts(): boolean {
    return true;
  }

  /**
   * Takes note.
   *
   * @param signal Which one.
   */
  kill(signal: KillSignal): void {
    this.told.push(signal);
  }

  /**
   * Ends it.
   *
   * @param signal What ended it; without one it ends with exit code 0.
   */
  exit(signal: string | null = null): void {
    this.running = false;
    this.listener.onExit({ code: signal === null ? 0 : 1, signal });
  }
}

/** Starts {@linkcode FakeWorker}s. */
export class FakeLauncher implements Launcher {
  /** All that were ever started, in order. */
  readonly workers: FakeWorker[] = [];
  /** Set it to make every start fail with it. */
  refusal?: Error;
  /** Called with each worker that is started. */
  onLaunch?: (worker: FakeWorker) => void;
  /** Called with each standby that is activated. */
  onActivate?: (worker: FakeWorker) => void;
  #nextPid = 100;

  /** Those that have not ended, in the order of their start. */
  get running(): FakeWorker[] {
    return this.workers.filter((worker) => worker.running);
  }

  /**
   * Starts a worker, unless it is to be refused.
   *
   * @param request What to start.
   * @param listener Told by the test.
   * @returns The worker.
   */
  launch(request: LaunchRequest, listener: WorkerEvents): FakeWorker {
    if (this.refusal !== undefined) throw this.refusal;
    const worker = new FakeWorker(this.#nextPid++, request, listener, this.onActivate);
    this.workers.push(worker);
    this.onLaunch?.(worker);
    return worker;
  }
}

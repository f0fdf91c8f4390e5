/**
 * The states of a server process from its registration to its exit: soft stop, draining, stop-notify,
 * detach (LIB-ZC section 5).
 *
 * A process has one lifecycle, as in LIB-ZC; every part that serves clients reports to it. It knows
 * neither the worker socket nor the mode of the server.
 *
 * @module
 */
import { type Clock, systemClock, type Timer } from "../../os/clock/clock.ts";
import { Activity } from "./activity.ts";
import { ConnectionSet } from "./connection_set.ts";
import { type OpenWork, type OpenWorkCounter, type Softstop, sumOpenWork } from "./open_work.ts";

/**
 * - `serving`: it accepts, or is about to;
 * - `standby`: it has loaded and waits to be started;
 * - `stopping`: it has stopped accepting, and ends at its time limit;
 * - `detached`: the same without a master, which has another server in its place;
 * - `draining`: it ends as soon as no work is under way;
 * - `ending`: it closes what is still open, for a moment;
 * - `ended`: its process is to exit.
 */
type Phase = "serving" | "standby" | "stopping" | "detached" | "draining" | "ending" | "ended";

/** The phases that can follow each phase; a request for any other one is ignored. */
const NEXT_PHASES: Readonly<Record<Phase, readonly Phase[]>> = {
  serving: ["standby", "stopping", "detached", "ending"],
  standby: ["serving", "stopping", "detached", "ending"],
  stopping: ["draining", "ending"],
  detached: ["draining", "ending"],
  draining: ["ending"],
  ending: ["ended"],
  ended: [],
};

/** A part of the server that has work under way. */
export interface IdleSource {
  /** The number of items under way. */
  readonly count: number;
  /**
   * The number of those items that are permanent, such as a listener.
   *
   * @default {0}
   */
  readonly standing?: number;
  /** Ends all items, finished or not. */
  closeAll?(): void;
}

/** The time limit that a setting of 0 stands for while work is under way. */
const LONGEST_SECONDS = 3600;

/** How long before the exit the server starts to close the remaining connections in order. */
const ENDING_MS = 1_000;

/** The time for this when the server exits at once. */
const LAST_MOMENT_MS = 250;

const NONE: ReadonlySet<number> = new Set();

/** The events that the lifecycle reports to the server's runtime. */
export interface LifecycleOwner {
  /** M: `server-stop-on-softstop-after`, in seconds; undefined where it is not set. */
  readonly softstopSeconds: number | undefined;
  /** `server-drain-timeout`, in seconds: the longest drain where M is not set. */
  readonly drainSeconds: number;
  /** The user's hook. */
  readonly beforeSoftstop?: (stop: Softstop) => void | Promise<void>;
  /** The server has stopped accepting and exits within `seconds`. */
  onDraining(seconds: number): void;
  /** The server has detached from its master. */
  onDetach(): void;
  /** The time limit is over, and this work is cut. */
  onCut?(open: OpenWork): void;
  /** Receives the errors of the hook and of closing listeners. */
  onError(error: unknown): void;
}

/** The lifecycle of a server. It only counts until {@linkcode own} is called. */
export class ServerLifecycle {
  /** The work under way, except the connections in `connections`. */
  readonly activity: Activity = new Activity();
  /** The accepted connections that are still open. */
  readonly connections: ConnectionSet = new ConnectionSet();
  /** Called when some of the work under way has ended. */
  onQuiet?: () => void;
  readonly #clock: Clock;
  readonly #stopped = Promise.withResolvers<void>();
  /** The functions that stop accepting, each with the descriptor that the master has passed. */
  readonly #closers = new Map<(last: boolean) => void, number | undefined>();
  readonly #sources = new Set<IdleSource>([this.activity, this.connections]);
  readonly #openCounters = new Set<OpenWorkCounter>();
  readonly #softstop = new AbortController();
  /** The functions that close open connections in order shortly before the exit. */
  readonly #endings = new Set<() => void>();
  #phase: Phase = "serving";
  #owner?: LifecycleOwner;
  /** A soft stop that has arrived before the settings that it depends on. */
  #softstopEarly?: ReadonlySet<number>;
  #stopAtMs = Infinity;
  /** Whether it ends by its time limit. */
  #isTimeUp = false;
  #stopTimer?: Timer;
  #endingTimer?: Timer;
  #stopSweeping = (): void => {};

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    this.activity.onIdle = this.connections.onChange = () => this.reportIdle();
  }

  /** Fulfilled when the server is to exit. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** Whether the server still accepts connections. */
  get accepting(): boolean {
    return this.#phase === "serving" || this.isStandby;
  }

  /** Whether the server is a standby that has not been started: a soft stop then ends it at once. */
  get isStandby(): boolean {
    return this.#phase === "standby";
  }

  /** Makes this server a standby. */
  standBy(): void {
    this.#enter("standby");
  }

  /** Starts a standby. */
  activate(): void {
    this.#enter("serving");
  }

  /** Enters a phase, and returns whether it can follow the present one. */
  #enter(next: Phase): boolean {
    if (!NEXT_PHASES[this.#phase].includes(next)) return false;
    this.#phase = next;
    return true;
  }

  /** Makes a drain wait for another source, which calls {@linkcode reportIdle} when its count is 0. */
  waitFor(source: IdleSource): void {
    this.#sources.add(source);
  }

  /** Returns the number of items under way, and starts a sweep for connections closed by their streams. */
  underWay(): number {
    const count = this.#countUnderWay();
    if (count > 0) this.connections.sweep();
    return count;
  }

  #countUnderWay(): number {
    return this.#sources.values()
      .reduce((sum, { count, standing = 0 }) => sum + count - standing, 0);
  }

  /** Called by a source that has no work under way any more. */
  reportIdle(): void {
    this.onQuiet?.();
    if (this.#phase !== "draining" && this.#phase !== "ending") return;
    if (this.#sources.values().some(({ count }) => count > 0)) return;
    if (this.#phase === "draining") this.#end();
    else this.#leave();
  }

  /** Aborted at the soft stop. */
  get softstopSignal(): AbortSignal {
    return this.#softstop.signal;
  }

  /** Adds a counter of open work that the listeners do not know of. */
  countOpen(counter: OpenWorkCounter): void {
    this.#openCounters.add(counter);
  }

  /** Returns the open work of this moment. */
  openWork(): OpenWork {
    return sumOpenWork([
      { connections: this.#countUnderWay() },
      ...this.#openCounters.values().map((count) => count()),
    ]);
  }

  /**
   * Registers a function that closes open connections in order. It is called once, shortly before the
   * server exits with work under way.
   *
   * @returns Unregisters it.
   */
  onEnding(close: () => void): () => void {
    this.#endings.add(close);
    return () => this.#endings.delete(close);
  }

  /**
   * Sets the runtime that receives the events.
   *
   * @throws {Error} On a second call: a process is one server.
   */
  own(owner: LifecycleOwner): void {
    if (this.#owner !== undefined) {
      throw new Error("Cannot run a second server in this process: one runs already, expected one");
    }
    this.#owner = owner;
    if (this.#softstopEarly !== undefined) this.softstop(this.#softstopEarly);
  }

  /**
   * Registers a function that stops accepting on a listener.
   *
   * @param close Called once, at the soft stop or on detach, or at once if that has happened already.
   * `last`: no other process serves the listener after this, so the pending connections in its queue are
   * accepted before it is closed.
   * @param fd The descriptor as `serviceRegister` received it.
   * @returns Unregisters it.
   */
  onStopAccepting(close: (last: boolean) => void, fd?: number): () => void {
    if (!this.accepting) {
      close(false);
      return () => {};
    }
    this.#closers.set(close, fd);
    return () => this.#closers.delete(close);
  }

  /**
   * Starts the soft stop, on a message from the master or a signal: stop accepting, drain, exit. Ignored
   * after a detach. A standby exits at once, without the hook.
   *
   * @param closing The descriptors, as `serviceRegister` received them, of the listeners that no process
   * serves after this; default none.
   */
  softstop(closing: ReadonlySet<number> = NONE): void {
    if (this.isStandby) return this.stopNotify(0);
    const owner = this.#owner;
    this.#softstopEarly = owner === undefined ? closing : undefined;
    if (owner === undefined || !this.#enter("stopping")) return;
    this.#closeListeners(closing);
    const seconds = this.#softstopSeconds(owner);
    owner.onDraining(seconds);
    this.stopNotify(seconds);
    this.#abort();
    this.#runHook(owner, seconds).then(() => {
      if (owner.softstopSeconds === undefined) this.#drain();
    });
  }

  /** Applies LIB-ZC's rules for the time limit; without the setting, the server drains within a limit. */
  #softstopSeconds({ softstopSeconds, drainSeconds, beforeSoftstop }: LifecycleOwner): number {
    if (softstopSeconds === undefined) return drainSeconds;
    return beforeSoftstop === undefined ? softstopSeconds : atLeastOne(softstopSeconds);
  }

  async #runHook({ beforeSoftstop, onError }: LifecycleOwner, seconds: number): Promise<void> {
    const signal = this.softstopSignal;
    try {
      await beforeSoftstop?.({ seconds, signal, open: () => this.openWork() });
    } catch (error) {
      onError(error);
    }
  }

  /**
   * Ends the server after a time, even if work is under way. The earliest deadline applies.
   *
   * @throws {RangeError} When `seconds` is no number.
   */
  stopNotify(seconds: number): void {
    if (Number.isNaN(seconds)) {
      throw new RangeError(`Cannot stop after "${seconds}": no number, expected seconds`);
    }
    const stopAtMs = this.#clock.nowMs() + seconds * 1000;
    if (this.#hasEnded || stopAtMs >= this.#stopAtMs) return;
    this.#stopAtMs = stopAtMs;
    this.#stopTimer?.cancel();
    this.#endingTimer?.cancel();
    this.#stopTimer = undefined;
    if (seconds <= 0) return this.#end();
    const ms = seconds * 1000;
    this.#stopTimer = this.#clock.setTimer(ms, () => {
      this.#isTimeUp = true;
      this.#end();
    });
    this.#endingTimer = this.#clock.setTimer(
      Math.max(ms - ENDING_MS, ms / 2),
      () => this.#closeOpen(),
    );
  }

  get #hasEnded(): boolean {
    return this.#phase === "ending" || this.#phase === "ended";
  }

  #closeOpen(): void {
    // A function that is registered later has nothing open by then.
    for (const close of this.#endings) {
      this.#endings.delete(close);
      close();
    }
  }

  #abort(): void {
    if (!this.softstopSignal.aborted) {
      this.#softstop.abort(new DOMException("The server has been told to stop", "AbortError"));
    }
  }

  /** Stops accepting and ends the server as soon as no work is under way, at the latest after `seconds`. */
  finishWithin(seconds: number): void {
    this.#enter("stopping");
    this.#closeListeners();
    this.stopNotify(seconds);
    this.#abort();
    this.#drain();
  }

  /** Leaves the master, which starts a replacement. */
  detach(): void {
    const owner = this.#owner;
    if (owner === undefined || !this.#enter("detached")) return;
    owner.onDetach();
    this.#closeListeners();
    this.stopNotify(atLeastOne(owner.softstopSeconds ?? 0));
  }

  #closeListeners(closing: ReadonlySet<number> = NONE): void {
    for (const [close, fd] of this.#closers) {
      // Deleted before the call, which may re-enter this method.
      this.#closers.delete(close);
      try {
        close(fd !== undefined && closing.has(fd));
      } catch (error) {
        this.#owner?.onError(error);
      }
    }
  }

  #drain(): void {
    if (!this.#enter("draining")) return;
    this.#stopSweeping = this.connections.sweepAgain(this.#clock);
    this.reportIdle();
  }

  /** Closes every open connection: the server has ended. */
  close(): void {
    this.#end();
    this.#leave();
    for (const source of this.#sources) source.closeAll?.();
  }

  /** Ends the server now, or after a moment if open connections can be closed in order. */
  #end(): void {
    if (!this.#enter("ending")) return;
    this.#stopTimer?.cancel();
    this.#endingTimer?.cancel();
    this.#stopSweeping();
    this.#closeListeners();
    this.#abort();
    if (this.#endings.size === 0) return this.#leave();
    this.#closeOpen();
    this.#stopTimer = this.#clock.setTimer(LAST_MOMENT_MS, () => this.#leave());
  }

  #leave(): void {
    if (!this.#enter("ended")) return;
    this.#stopTimer?.cancel();
    if (this.#isTimeUp && this.underWay() > 0) this.#owner?.onCut?.(this.openWork());
    this.#stopped.resolve();
  }
}

/** Replaces a time limit of less than a second by the longest one (LIB-ZC). */
function atLeastOne(seconds: number): number {
  return seconds < 1 ? LONGEST_SECONDS : seconds;
}

/** The lifecycle of this process. */
export const serverLifecycle: ServerLifecycle = new ServerLifecycle();

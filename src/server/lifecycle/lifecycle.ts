/**
 * The life of a server process between its registration and its end: soft stop, draining,
 * stop-notify, detach (LIB-ZC section 5).
 *
 * There is one of it in a process, as in LIB-ZC: what serves clients reports to it, whoever made
 * it. It knows neither the control socket nor any mode.
 *
 * @module
 */
import { type Clock, systemClock, type Timer } from "../../os/clock/clock.ts";
import { Activity } from "./activity.ts";
import { ConnectionSet } from "./connection_set.ts";
import { type OpenWork, type OpenWorkCounter, type Softstop, sumOpenWork } from "./open_work.ts";

/** Something that has work under way. */
export interface IdleSource {
  /** How much. */
  readonly count: number;
  /**
   * How much of that is there all the time, whether anybody uses it or not.
   *
   * @default {0}
   */
  readonly standing?: number;
  /** Ends it all, whether it is finished or not. */
  closeAll?(): void;
}

/** How long a server without `server-stop-on-softstop-after` drains at most. */
export const DRAIN_LIMIT_SECONDS = 30;

/** What a setting of 0 amounts to where there is something to wait for. */
const LONGEST_SECONDS = 3600;

/**
 * Connections that are used as streams are looked at while the server drains: soon at first, then
 * ever more rarely, so that a client that takes its time does not keep the server awake.
 */
const FIRST_SWEEP_MS = 100, LONGEST_SWEEP_MS = 8_000;

/** How long before its end a server closes in good order what is still open then. */
const ENDING_MS = 1_000;

/** How long a server that ends at once takes for that. */
const LAST_MOMENT_MS = 250;

const NONE: ReadonlySet<number> = new Set();

/** What the lifecycle tells the one who runs the server. */
export interface LifecycleOwner {
  /** M: `server-stop-on-softstop-after`, in seconds; undefined where it is not set. */
  readonly softstopSeconds: number | undefined;
  /** The user's hook. */
  readonly beforeSoftstop?: (stop: Softstop) => void | Promise<void>;
  /** The server accepts no more, and ends within that many seconds. */
  onDraining(seconds: number): void;
  /** The server goes its own way. */
  onDetach(): void;
  /** Takes what the hook or a closing listener throws. */
  onError(error: unknown): void;
}

/** A server's life. Until {@linkcode own} is called it only counts. */
export class ServerLifecycle {
  /** What is under way, other than the connections of `connections`. */
  readonly activity: Activity = new Activity();
  /** Connections that were accepted and not closed yet. */
  readonly connections: ConnectionSet = new ConnectionSet();
  /**
   * Whether the server is a standby that nobody has needed so far: there is nothing that it could finish,
   * and told to stop it ends at once.
   */
  isStandby = false;
  /** Called when some of the work under way has come to its end. */
  onQuiet?: () => void;
  readonly #clock: Clock;
  readonly #stopped = Promise.withResolvers<void>();
  /** What stops accepting, and the descriptor that it had from the master. */
  readonly #closers = new Map<(last: boolean) => void, number | undefined>();
  readonly #sources = new Set<IdleSource>([this.activity, this.connections]);
  readonly #openCounters = new Set<OpenWorkCounter>();
  readonly #softstop = new AbortController();
  /** What closes in good order what is open near the end. */
  readonly #endings = new Set<() => void>();
  #owner?: LifecycleOwner;
  #accepting = true;
  #detached = false;
  #softstopEarly?: ReadonlySet<number>;
  /** Whether the end comes as soon as nothing is under way. */
  #draining = false;
  #ended = false;
  #stopAtMs = Infinity;
  #stopTimer?: Timer;
  #endingTimer?: Timer;
  #sweepTimer?: Timer;

  /** @param clock Where time comes from. */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    this.activity.onIdle = this.connections.onChange = () => this.reportIdle();
  }

  /** Fulfilled when the server is to end. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** Whether the server still takes new connections. */
  get accepting(): boolean {
    return this.#accepting;
  }

  /**
   * Makes the end of a draining server wait for something more.
   *
   * @param source What to wait for; it calls {@linkcode reportIdle} when its count comes to 0.
   */
  waitFor(source: IdleSource): void {
    this.#sources.add(source);
  }

  /**
   * How much is under way. What was closed without a word is looked for, and missing the next time.
   */
  underWay(): number {
    const count = this.#sources.values()
      .reduce((sum, { count, standing = 0 }) => sum + count - standing, 0);
    if (count > 0) this.connections.sweep();
    return count;
  }

  /** Says that a source has nothing under way any more. */
  reportIdle(): void {
    this.onQuiet?.();
    if (!this.#draining && !this.#ended) return;
    if (this.#sources.values().some(({ count }) => count > 0)) return;
    if (this.#ended) this.#leave();
    else this.#end();
  }

  /** Aborted when the server is told to stop. */
  get softstopSignal(): AbortSignal {
    return this.#softstop.signal;
  }

  /**
   * Has more counted as open work than connections that are accepted by listeners.
   *
   * @param counter Counts it.
   */
  countOpen(counter: OpenWorkCounter): void {
    this.#openCounters.add(counter);
  }

  /** How much is open at this moment. */
  openWork(): OpenWork {
    const accepted = this.connections.count + this.activity.count - this.activity.standing;
    return sumOpenWork([
      { connections: accepted },
      ...this.#openCounters.values().map((count) => count()),
    ]);
  }

  /**
   * Registers something that can close in good order what it has open.
   *
   * @param close Does so. Called once, shortly before the server ends with something under way.
   * @returns Takes it back.
   */
  onEnding(close: () => void): () => void {
    this.#endings.add(close);
    return () => this.#endings.delete(close);
  }

  /**
   * Says whose server it is.
   *
   * @param owner Told of what happens.
   * @throws {Error} The second time: a process is one server.
   */
  own(owner: LifecycleOwner): void {
    if (this.#owner !== undefined) {
      throw new Error("Cannot run a second server in this process: one runs already, expected one");
    }
    this.#owner = owner;
    if (this.#softstopEarly !== undefined) this.softstop(this.#softstopEarly);
  }

  /**
   * Registers something that takes new connections.
   *
   * @param close Stops it; called once, at the soft stop or when the server detaches. Called at
   * once when that has been. Its argument tells whether nobody serves that listener any more, and so
   * what waits in its queue is to be accepted first, in the time that this takes.
   * @param fd The descriptor that `serviceRegister` was told.
   * @returns Takes it back.
   */
  onStopAccepting(close: (last: boolean) => void, fd?: number): () => void {
    if (!this.#accepting) {
      close(false);
      return () => {};
    }
    this.#closers.set(close, fd);
    return () => this.#closers.delete(close);
  }

  /**
   * The master's word, or a signal: accept no more, finish, end. Ignored once detached. A standby just
   * ends, without the hook.
   *
   * @param closing The descriptors, as `serviceRegister` was told them, of those listeners that nobody
   * serves after this; by default none.
   */
  softstop(closing: ReadonlySet<number> = NONE): void {
    if (this.isStandby) return this.stopNotify(0);
    const owner = this.#owner;
    // The word may come before the settings by which it is to be done.
    this.#softstopEarly = owner === undefined ? closing : undefined;
    if (owner === undefined || this.#detached || !this.#accepting) return;
    this.#stopAccepting(closing);
    const seconds = this.#softstopSeconds(owner);
    owner.onDraining(seconds);
    this.stopNotify(seconds);
    this.#abort();
    this.#runHook(owner, seconds).then(() => {
      if (owner.softstopSeconds === undefined) this.#drain();
    });
  }

  /** The rules of LIB-ZC; without the setting: until idle, within a bound. */
  #softstopSeconds({ softstopSeconds, beforeSoftstop }: LifecycleOwner): number {
    if (softstopSeconds === undefined) return DRAIN_LIMIT_SECONDS;
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
   * Ends the server after a time, whatever is under way then. The earliest call counts.
   *
   * @param seconds The time; 0 is now.
   * @throws {RangeError} When it is no number.
   */
  stopNotify(seconds: number): void {
    if (Number.isNaN(seconds)) {
      throw new RangeError(`Cannot stop after "${seconds}": no number, expected seconds`);
    }
    const stopAtMs = this.#clock.nowMs() + seconds * 1000;
    if (this.#ended || stopAtMs >= this.#stopAtMs) return;
    this.#stopAtMs = stopAtMs;
    this.#stopTimer?.cancel();
    this.#endingTimer?.cancel();
    this.#stopTimer = undefined;
    if (seconds <= 0) return this.#end();
    const ms = seconds * 1000;
    this.#stopTimer = this.#clock.setTimer(ms, () => this.#end());
    this.#endingTimer = this.#clock.setTimer(
      Math.max(ms - ENDING_MS, ms / 2),
      () => this.#closeOpen(),
    );
  }

  #closeOpen(): void {
    // What is registered later has nothing open by then.
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

  /**
   * Accepts no more and ends as soon as nothing is under way, within a time.
   *
   * @param seconds The time.
   */
  finishWithin(seconds: number): void {
    this.#stopAccepting();
    this.stopNotify(seconds);
    this.#abort();
    this.#drain();
  }

  /** Leaves the master, which puts another process in this one's place. */
  detach(): void {
    const owner = this.#owner;
    if (owner === undefined || this.#detached || !this.#accepting) return;
    this.#detached = true;
    owner.onDetach();
    this.#stopAccepting();
    this.stopNotify(atLeastOne(owner.softstopSeconds ?? 0));
  }

  #stopAccepting(closing: ReadonlySet<number> = NONE): void {
    this.#accepting = false;
    for (const [close, fd] of this.#closers) {
      // Before the call, which may lead back here.
      this.#closers.delete(close);
      try {
        close(fd !== undefined && closing.has(fd));
      } catch (error) {
        this.#owner?.onError(error);
      }
    }
  }

  #drain(): void {
    if (this.#ended) return;
    this.#draining = true;
    this.#sweep();
    this.reportIdle();
  }

  #sweep(pauseMs = FIRST_SWEEP_MS): void {
    this.#sweepTimer?.cancel();
    this.connections.sweep();
    this.#sweepTimer = this.#clock.setTimer(pauseMs, () => {
      // Not asked before: the last accept may still have been on its way.
      if (this.connections.count > 0) this.#sweep(Math.min(2 * pauseMs, LONGEST_SWEEP_MS));
    });
  }

  /** Closes every connection that is still open: the server has ended. */
  close(): void {
    this.#end();
    this.#leave();
    for (const source of this.#sources) source.closeAll?.();
  }

  /** Ends now, or in a moment where something is open that can be closed in good order. */
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#draining = false;
    this.#stopTimer?.cancel();
    this.#endingTimer?.cancel();
    this.#sweepTimer?.cancel();
    this.#stopAccepting();
    this.#abort();
    if (this.#endings.size === 0) return this.#leave();
    this.#closeOpen();
    this.#stopTimer = this.#clock.setTimer(LAST_MOMENT_MS, () => this.#leave());
  }

  #leave(): void {
    this.#stopTimer?.cancel();
    this.#stopped.resolve();
  }
}

/** M, where less than a second counts as the longest time (LIB-ZC). */
function atLeastOne(seconds: number): number {
  return seconds < 1 ? LONGEST_SECONDS : seconds;
}

/** The life of this process. */
export const serverLifecycle: ServerLifecycle = new ServerLifecycle();

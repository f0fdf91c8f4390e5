/**
 * The use of a server process: accepted connections and idle time, against the master's limits.
 *
 * @module
 */
import { type Clock, systemClock, type Timer } from "../../os/clock/clock.ts";
import { OpenConnections } from "../../os/net/connections.ts";
import type { ListenAddress } from "../../os/net/socket.ts";

/** The limits that the master has set. */
export interface UsageLimits {
  /**
   * The most connections to accept, those before the limit was known included.
   *
   * @default {Infinity}
   */
  readonly connections?: number;
  /**
   * The time without use, in milliseconds, after which the process is idle.
   *
   * @default {Infinity}
   */
  readonly idleMs?: number;
}

/** Supplies the number of open connections and receives the events. */
export interface UsageHandlers {
  /** Returns the number of open connections whose close is reported. */
  underWay(): number;
  /** The limit of accepted connections is reached. Called once. */
  onSpent(): void;
  /** The process is in use from now on (`true`), or has been idle for the set time. */
  onUsed(used: boolean): void;
}

/** Finds the open connections; undefined while no descriptor is free. */
type Look = () => Pick<OpenConnections, "at"> | undefined;

const nothing = (): void => {};

/** Counts the accepted connections of a process and finds out whether it is idle. */
export class Usage {
  readonly #clock: Clock;
  readonly #look: Look;
  #accepted = 0;
  #limit = Infinity;
  #idleMs = Infinity;
  #handlers?: UsageHandlers;
  #serving = false;
  /** Whether the process has been used so far, and the callback for its first use. */
  #hasWorked = false;
  #onWork?: () => void;
  /** The number of open connections whose close will be reported here. */
  #open = 0;
  /** The addresses of listeners whose connections are closed without a report. */
  readonly #addresses = new Set<ListenAddress>();
  /** Whether the last scan found an open connection of such a listener. */
  #foundLately = false;
  #lastUseMs = -Infinity;
  /** The state that was reported last. */
  #told?: "used" | "idle";
  #timer?: Timer;
  /** The client addresses of the connections on which HTTP requests have arrived. */
  readonly #peers = new Set<string>();

  /**
   * @param clock The source of time.
   * @param look Finds the open connections, if it can.
   */
  constructor(
    clock: Clock = systemClock,
    look: Look = () => OpenConnections.find(),
  ) {
    this.#clock = clock;
    this.#look = look;
  }

  /** Whether requests on connections that the runtime accepts itself must be reported. */
  get wantsRequests(): boolean {
    return this.#limit < Infinity || this.#idleMs < Infinity;
  }

  /** Sets the limits and the receiver of the events. */
  limit({ connections, idleMs }: UsageLimits, handlers: UsageHandlers): void {
    this.#limit = connections ?? Infinity;
    this.#idleMs = idleMs ?? Infinity;
    this.#handlers = handlers;
    this.#checkLimit();
    this.#watch();
  }

  /**
   * Marks the process as serving, possibly before the limits are known.
   *
   * @param onWork Called once, at the first use of the process, or at once if it has been used already.
   */
  start(onWork?: () => void): void {
    this.#serving = true;
    this.#lastUseMs = this.#clock.nowMs();
    this.#onWork = onWork;
    if (this.#hasWorked) onWork?.();
    this.#watch();
  }

  #watch(): void {
    if (!this.#serving || this.#idleMs === Infinity || this.#told !== undefined) return;
    this.#wait(this.#idleMs);
  }

  /** Stops the timers. */
  stop(): void {
    this.#timer?.cancel();
    this.#idleMs = Infinity;
  }

  /** Counts the connections on an address by scans, since their close is not reported. */
  count(address: ListenAddress): void {
    this.#addresses.add(address);
  }

  #found(): number | undefined {
    if (this.#addresses.size === 0) return 0;
    const open = this.#look();
    return open &&
      this.#addresses.values().reduce((sum, address) => sum + open.at(address).length, 0);
  }

  /**
   * Counts an accepted connection.
   *
   * @param options `tellsEnd`: whether the caller reports the close by calling the returned function. If
   * not, `underWay` or a scan counts the connection.
   * @returns Counts the close of the connection; once.
   */
  accepted({ tellsEnd = false }: { readonly tellsEnd?: boolean } = {}): () => void {
    this.#accepted++;
    this.#checkLimit();
    this.used();
    if (!tellsEnd) return nothing;
    this.#open++;
    return () => {
      this.#open--;
      this.unused();
    };
  }

  /** Reports the first use of the process; later calls cost next to nothing. */
  noteWork(): void {
    if (this.#hasWorked) return;
    this.#hasWorked = true;
    if (this.#idleMs === Infinity) this.#onWork?.();
  }

  /** Marks the process as in use at this moment. */
  used(): void {
    this.noteWork();
    if (this.#idleMs === Infinity) return;
    this.#lastUseMs = this.#clock.nowMs();
    if (this.#told === "used") return;
    this.#told = "used";
    this.#handlers?.onUsed(true);
    this.#wait(this.#idleMs);
  }

  /** Called when the last connection was closed. */
  unused(): void {
    this.#lastUseMs = this.#clock.nowMs();
  }

  /**
   * Counts a request on a connection that the runtime has accepted itself: the first request from a client
   * address counts as an accepted connection.
   *
   * @param peer The address of the client; all clients of a unix socket have the same one.
   */
  requested(peer: Deno.Addr): void {
    if (this.#isKnown(peer)) this.used();
    else this.accepted();
  }

  #isKnown(peer: Deno.Addr): boolean {
    // Without a limit nothing is counted.
    if (peer.transport !== "tcp" || this.#limit === Infinity) return false;
    const key = `${peer.hostname} ${peer.port}`;
    if (this.#peers.has(key)) return true;
    this.#peers.add(key);
    return false;
  }

  /** Reports when the limit is reached. */
  #checkLimit(): void {
    if (this.#accepted < this.#limit) return;
    this.#limit = Infinity;
    this.#peers.clear();
    this.#handlers?.onSpent();
  }

  #wait(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(delayMs, () => this.#ask());
  }

  /**
   * Tests whether the process is idle, at most once per idle time. The close of a connection that a scan
   * found has no known time, so it counts as recent.
   */
  #ask(): void {
    const found = this.#found();
    // A process without a free descriptor is hardly idle.
    if (found === undefined) return this.#wait(this.#idleMs);
    const open = this.#open + found + (this.#handlers?.underWay() ?? 0);
    if (open > 0 || this.#foundLately) this.#lastUseMs = this.#clock.nowMs();
    this.#foundLately = found > 0;
    const leftMs = this.#lastUseMs + this.#idleMs - this.#clock.nowMs();
    if (leftMs > 0) return this.#wait(leftMs);
    this.#told = "idle";
    this.#handlers?.onUsed(false);
  }
}

/** The usage of this process. */
export const serverUsage: Usage = new Usage();

/**
 * How much a server process is used, for a master that has set it limits.
 *
 * @module
 */
import { type Clock, systemClock, type Timer } from "../os/clock.ts";

/** What a master wants to know. */
export interface UsageLimits {
  /**
   * How many connections may be accepted, those included that were before.
   *
   * @default {Infinity}
   */
  readonly connections?: number;
  /**
   * After how many milliseconds without use the process is idle.
   *
   * @default {Infinity}
   */
  readonly idleMs?: number;
}

/** Who knows of the rest, and is told. */
export interface UsageHandlers {
  /** How many connections are open, of those whose end is told. */
  underWay(): number;
  /** As many connections have been accepted as may be. Told once. */
  onSpent(): void;
  /** The process is in use from now on, or has been idle for long enough. */
  onUsed(used: boolean): void;
}

/** Counts what a process accepts, and looks whether it is used. */
export class Usage {
  readonly #clock: Clock;
  #accepted = 0;
  #limit = Infinity;
  #idleMs = Infinity;
  #handlers?: UsageHandlers;
  #serving = false;
  /** Requests that are being answered, on connections whose end is not told. */
  #requests = 0;
  #lastUseMs = -Infinity;
  /** What was told last. */
  #told?: "used" | "idle";
  #timer?: Timer;
  /** Where the clients are whose connections HTTP requests have come on. */
  readonly #peers = new Set<string>();

  /** @param clock Where time comes from. */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Whether anybody wants to know of requests, on connections that the runtime accepts by itself. */
  get wantsRequests(): boolean {
    return this.#limit < Infinity || this.#idleMs < Infinity;
  }

  /**
   * Sets the limits.
   *
   * @param limits The limits.
   * @param handlers Told of it.
   */
  limit({ connections, idleMs }: UsageLimits, handlers: UsageHandlers): void {
    this.#limit = connections ?? Infinity;
    this.#idleMs = idleMs ?? Infinity;
    this.#handlers = handlers;
    this.#count();
    this.#watch();
  }

  /** Says that the process serves, which may be before the limits are known. */
  start(): void {
    this.#serving = true;
    this.#lastUseMs = this.#clock.nowMs();
    this.#watch();
  }

  #watch(): void {
    if (!this.#serving || this.#idleMs === Infinity || this.#told !== undefined) return;
    this.#wait(this.#idleMs);
  }

  /** Ends it. */
  stop(): void {
    this.#timer?.cancel();
    this.#idleMs = Infinity;
  }

  /** A connection was accepted. */
  accepted(): void {
    this.#accepted++;
    this.#count();
    this.used();
  }

  /** The process is in use at this moment. */
  used(): void {
    if (this.#idleMs === Infinity) return;
    this.#lastUseMs = this.#clock.nowMs();
    if (this.#told === "used") return;
    this.#told = "used";
    this.#handlers?.onUsed(true);
    this.#wait(this.#idleMs);
  }

  /** The last connection was closed. */
  unused(): void {
    this.#lastUseMs = this.#clock.nowMs();
  }

  /**
   * A request has come on a connection of which nobody knew: it was accepted, unless another one has
   * come from there before.
   *
   * @param request `remoteAddr`: the address of the client; on a unix socket all have the same.
   * `completed`: settled when the request is answered.
   */
  requested(
    { remoteAddr, completed }: {
      readonly remoteAddr: Deno.Addr;
      readonly completed: Promise<void>;
    },
  ): void {
    this.#requests++;
    const answered = () => {
      this.#requests--;
      this.unused();
    };
    completed.then(answered, answered);
    if (this.#isKnown(remoteAddr)) this.used();
    else this.accepted();
  }

  /** A request has become something else, whose end nobody will tell. */
  upgraded(): void {
    this.#requests++;
  }

  #isKnown(peer: Deno.Addr): boolean {
    // Without a limit there is nothing to count.
    if (peer.transport !== "tcp" || this.#limit === Infinity) return false;
    const key = `${peer.hostname} ${peer.port}`;
    if (this.#peers.has(key)) return true;
    this.#peers.add(key);
    return false;
  }

  #count(): void {
    if (this.#accepted < this.#limit) return;
    this.#limit = Infinity;
    this.#peers.clear();
    this.#handlers?.onSpent();
  }

  #wait(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(delayMs, () => this.#look());
  }

  /** Never more often than once in the time after which the process would be idle. */
  #look(): void {
    if (this.#requests + (this.#handlers?.underWay() ?? 0) > 0) {
      this.#lastUseMs = this.#clock.nowMs();
    }
    const leftMs = this.#lastUseMs + this.#idleMs - this.#clock.nowMs();
    if (leftMs > 0) return this.#wait(leftMs);
    this.#told = "idle";
    this.#handlers?.onUsed(false);
  }
}

/** The usage of this process. */
export const serverUsage: Usage = new Usage();

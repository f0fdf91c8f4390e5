/**
 * How much a server process is used, for a master that has set it limits.
 *
 * @module
 */
import { type Clock, systemClock, type Timer } from "../../os/clock/clock.ts";
import { OpenConnections } from "../../os/net/connections.ts";
import type { ListenAddress } from "../../os/net/socket.ts";

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

const nothing = (): void => {};

/** Counts what a process accepts, and looks whether it is used. */
export class Usage {
  readonly #clock: Clock;
  readonly #look: () => Pick<OpenConnections, "at">;
  #accepted = 0;
  #limit = Infinity;
  #idleMs = Infinity;
  #handlers?: UsageHandlers;
  #serving = false;
  /** Whether anybody has used the process so far, and who is to hear of that. */
  #hasWorked = false;
  #onWork?: () => void;
  /** Connections whose end will be told here. */
  #open = 0;
  /** Where connections come whose end nobody tells. */
  readonly #addresses = new Set<ListenAddress>();
  /** Whether one of these was open at the last look. */
  #foundLately = false;
  #lastUseMs = -Infinity;
  /** What was told last. */
  #told?: "used" | "idle";
  #timer?: Timer;
  /** Where the clients are whose connections HTTP requests have come on. */
  readonly #peers = new Set<string>();

  /**
   * @param clock Where time comes from.
   * @param look Finds the connections that are open.
   */
  constructor(
    clock: Clock = systemClock,
    look: () => Pick<OpenConnections, "at"> = () => new OpenConnections(),
  ) {
    this.#clock = clock;
    this.#look = look;
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
    this.#checkLimit();
    this.#watch();
  }

  /**
   * Says that the process serves, which may be before the limits are known.
   *
   * @param onWork Told once, when somebody uses the process for the first time, or has before.
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

  /** Ends it. */
  stop(): void {
    this.#timer?.cancel();
    this.#idleMs = Infinity;
  }

  /**
   * Has the connections counted that come to an address, since nobody tells of their end.
   *
   * @param address What the listener is bound to.
   */
  count(address: ListenAddress): void {
    this.#addresses.add(address);
  }

  #found(): number {
    if (this.#addresses.size === 0) return 0;
    const open = this.#look();
    return this.#addresses.values().reduce((sum, address) => sum + open.at(address).length, 0);
  }

  /**
   * A connection was accepted.
   *
   * @param options `tellsEnd`: whether what this returns is called when it is closed; else it is one
   * of those that `underWay` knows or that are looked for.
   * @returns Takes note of its end; once.
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

  /** Somebody uses the process, which is told the first time; it costs next to nothing later. */
  noteWork(): void {
    if (this.#hasWorked) return;
    this.#hasWorked = true;
    if (this.#idleMs === Infinity) this.#onWork?.();
  }

  /** The process is in use at this moment. */
  used(): void {
    this.noteWork();
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
   * @param peer The address of the client; on a unix socket all have the same.
   */
  requested(peer: Deno.Addr): void {
    if (this.#isKnown(peer)) this.used();
    else this.accepted();
  }

  #isKnown(peer: Deno.Addr): boolean {
    // Without a limit there is nothing to count.
    if (peer.transport !== "tcp" || this.#limit === Infinity) return false;
    const key = `${peer.hostname} ${peer.port}`;
    if (this.#peers.has(key)) return true;
    this.#peers.add(key);
    return false;
  }

  /** Tells when the limit is reached. */
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
   * Looks whether it is idle, never more often than once in the time after which it would be. When a
   * connection has ended that was found by a look, nobody knows: it may have been just now.
   */
  #ask(): void {
    const found = this.#found();
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

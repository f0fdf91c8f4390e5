/**
 * The connections of a listener while its server drains: which ones are idle, which ones have something
 * under way, and which ones have had their last answer.
 *
 * @module
 */
import {
  endReceiving,
  type OpenConnection,
  unreadBytes,
  untakenBytes,
} from "../../os/net/connections.ts";
import { pauseReading } from "../../os/adopt/pause_reading.ts";
import type { ListenAddress } from "../../os/net/socket.ts";
import { QUIET_MS, UNSURE_MS } from "../lifecycle/drain_limits.ts";
import { socketId, startCounting, type Traffic, trafficOf } from "../../os/net/traffic.ts";

/**
 * As `UNSURE_MS`, for TCP without TLS, where it is unlikely that a request has begun: it has come in the
 * tick of the kernel in which the last answer went.
 */
const TIE_MS = 2_000;

/** One that was quiet for this long before the stop has no request that has just begun. */
const LONG_QUIET_MS = 2_000;

/** With more connections than that, it is not looked for the one that a request has come over. */
const MOST_SEARCHED = 256;

/** One connection. */
export class DrainingConnection {
  /** Whether an answer has told the client to close it, and is complete. */
  told = false;
  /** Whether it is known to speak HTTP/2, by which requests are counted, and not bytes. */
  isHttp2 = false;
  readonly #fd: number;
  readonly #id: bigint;
  readonly #kind: ListenAddress["kind"];
  readonly #isTls: boolean;
  readonly #sinceMs: number;
  /** Requests on it that are not answered. */
  #underWay = 0;
  #traffic: Traffic;
  #changedMs: number;
  /** How many of the bytes that were received belong to requests that have come to the server. */
  #accounted: number;
  /** How many bytes were sent when that was found. */
  #sentBefore: number;
  #isUnsure: boolean;
  /** Whether it has had an answer to a request of which the version is not known. */
  #isToldMaybe = false;
  /** Has the runtime read it again. */
  #resume?: () => void;

  /**
   * @param fd Its descriptor. Borrowed.
   * @param options `id`: that of its socket. `kind`: of which kind it is. `isTls`: whether it speaks TLS.
   * `traffic`: what has gone over it. `nowMs`: when.
   */
  constructor(
    fd: number,
    { id, kind, isTls, traffic, nowMs }: {
      readonly id: bigint;
      readonly kind: ListenAddress["kind"];
      readonly isTls: boolean;
      readonly traffic: Traffic;
      readonly nowMs: number;
    },
  ) {
    this.#fd = fd;
    this.#id = id;
    this.#kind = kind;
    this.#isTls = isTls;
    this.#traffic = traffic;
    this.#sinceMs = this.#changedMs = nowMs;
    this.#sentBefore = traffic.sent ?? 0;
    const hasBegun = !isTls && traffic.received > 0 && traffic.last === "received";
    this.#accounted = hasBegun ? traffic.received - 1 : traffic.received;
    const isLongQuiet = (traffic.quietMs ?? 0) >= LONG_QUIET_MS;
    this.#isUnsure = traffic.quietMs === undefined || !isLongQuiet && traffic.received > 0 &&
        (isTls || traffic.last === "unknown");
  }

  /** Whether the server has read from it since the last time that its counters were looked at. */
  hasRead(): boolean {
    const traffic = trafficOf(this.#fd, this.#kind);
    if (traffic === undefined) return false;
    const before = this.#traffic.received - this.#traffic.unread;
    this.#traffic = traffic;
    return traffic.received - traffic.unread > before;
  }

  /**
   * Takes new counters.
   *
   * @param traffic The counters.
   * @param nowMs The time.
   */
  update(traffic: Traffic, nowMs: number): void {
    const { received, sent = 0, last } = traffic;
    const before = this.#traffic;
    if (received !== before.received || sent !== (before.sent ?? 0)) this.#changedMs = nowMs;
    this.#traffic = traffic;
    if (received > this.#accounted && this.#isTls) {
      // It may be anything, such as a ping of HTTP/2.
      this.#isUnsure = true;
      this.#accounted = received;
    }
    // What was sent behind what has come is its answer, or a part of that.
    if (this.hasAnswered && last !== "received") this.#accounted = received;
  }

  /** Whether anything was sent on it since the stop. */
  get hasAnswered(): boolean {
    return (this.#traffic.sent ?? 0) > this.#sentBefore;
  }

  /** Whether the last data was the server's. */
  get sentLast(): boolean {
    return this.#traffic.last !== "received" && this.#traffic.unread === 0;
  }

  /**
   * A request has come over it.
   *
   * @param overHttp2 Whether over HTTP/2, if that is known.
   */
  begin(overHttp2: boolean | undefined): void {
    this.#underWay++;
    this.isHttp2 ||= overHttp2 === true;
    this.#account();
  }

  /**
   * A request is answered, with the word that the connection is to be closed.
   *
   * @param overHttp2 As for {@linkcode begin}.
   */
  answered(overHttp2: boolean | undefined): void {
    this.#underWay--;
    this.#account();
    if (overHttp2 === undefined) this.#isToldMaybe = true;
    else this.told = true;
    if (this.#underWay === 0) this.readOn();
    this.closeIfTold();
  }

  /** Reads nothing more from it until every request on it is answered. */
  readNoMore(): void {
    if (this.#underWay > 0) this.#resume ??= pauseReading(this.#fd);
  }

  /** Reads it again. */
  readOn(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  #account(): void {
    const traffic = trafficOf(this.#fd, this.#kind);
    if (traffic === undefined) return;
    this.#traffic = traffic;
    this.#accounted = traffic.received;
    this.#isUnsure = false;
  }

  /** A request has come, it is not known over which connection: maybe over this one. */
  doubt(): void {
    if (this.#traffic.received <= this.#accounted) return;
    this.#accounted = this.#traffic.received;
    this.#isUnsure = true;
  }

  /**
   * Whether nothing is lost when it is closed; with HTTP/2 when every request is answered, too.
   *
   * @param nowMs The time.
   */
  isIdle(nowMs: number): boolean {
    const { received, sent, unread } = this.#traffic;
    if (this.isHttp2) return true;
    if (unread > 0 || this.#underWay > 0) return false;
    const quietMs = nowMs - this.#changedMs;
    if (this.#isTls && sent === 0) {
      return received === 0 ? quietMs >= QUIET_MS : nowMs - this.#sinceMs >= UNSURE_MS;
    }
    if (received > this.#accounted) return false;
    if (!this.#isUnsure) return quietMs >= QUIET_MS;
    return quietMs >= (this.#isTls || sent === undefined ? UNSURE_MS : TIE_MS);
  }

  /**
   * Closes it behind its last answer, when the client has that. The runtime does it, as if the client
   * had closed: nothing that it still has to write is lost, and TLS comes to its proper end.
   *
   * @param nowMs The time; undefined right behind an answer.
   */
  closeIfTold(nowMs?: number): void {
    const isTold = this.told || this.#isToldMaybe && nowMs !== undefined && this.isIdle(nowMs);
    if (!isTold || this.isHttp2 || this.#underWay > 0) return;
    if (unreadBytes(this.#fd) === 0 && untakenBytes(this.#fd) === 0) this.endReceiving();
  }

  /** Has the runtime find an end of file behind what it is doing with it. */
  endReceiving(): void {
    // The runtime may have closed it, and its number is then another one's.
    if (socketId(this.#fd) === this.#id) endReceiving(this.#fd);
  }
}

/** All connections of a listener. */
export class DrainingConnections {
  readonly #kind: ListenAddress["kind"];
  readonly #isTls: boolean;
  readonly #byId = new Map<bigint, DrainingConnection>();
  readonly #byPeer = new Map<string, DrainingConnection>();
  /** Whether a request has come since the last look, it is not known over which connection. */
  #isInDoubt = false;

  /**
   * @param kind Of which kind the listener is.
   * @param isTls Whether it speaks TLS.
   */
  constructor(kind: ListenAddress["kind"], isTls: boolean) {
    this.#kind = kind;
    this.#isTls = isTls;
  }

  /**
   * Looks at all.
   *
   * @param all Those that are open.
   * @param nowMs The time.
   * @returns What is known of each.
   */
  look(all: readonly OpenConnection[], nowMs: number): Map<OpenConnection, DrainingConnection> {
    const found = new Map<OpenConnection, DrainingConnection>();
    this.#byPeer.clear();
    for (const one of all) {
      const known = this.#lookAt(one, nowMs);
      if (known === undefined) continue;
      found.set(one, known);
      if (this.#kind === "inet") this.#byPeer.set(one.peer, known);
    }
    const open = new Set(found.values());
    for (const [id, known] of this.#byId) if (!open.has(known)) this.#byId.delete(id);
    this.#isInDoubt = false;
    return found;
  }

  #lookAt({ fd }: OpenConnection, nowMs: number): DrainingConnection | undefined {
    const id = socketId(fd);
    if (id === undefined) return undefined;
    let known = this.#byId.get(id);
    const kind = this.#kind;
    if (known === undefined) startCounting(fd, kind);
    const traffic = trafficOf(fd, kind);
    if (traffic === undefined) return undefined;
    if (known === undefined) {
      known = new DrainingConnection(fd, { id, kind, isTls: this.#isTls, traffic, nowMs });
      this.#byId.set(id, known);
    } else known.update(traffic, nowMs);
    if (this.#isInDoubt) known.doubt();
    return known;
  }

  /** All that were open at the last look. */
  values(): Iterable<DrainingConnection> {
    return this.#byId.values();
  }

  /**
   * Finds the connection over which a request has just come.
   *
   * @param peer The address of the client, as `addressText` has it; undefined where clients have none, or
   * it is not known. Then it is the only one that was read from, if that is so.
   * @returns The connection; undefined when it can't be told.
   */
  of(peer: string | undefined): DrainingConnection | undefined {
    if (peer !== undefined) return this.#byPeer.get(peer);
    const all = this.#byId.size > MOST_SEARCHED ? [] : [...this.#byId.values()];
    const [found, ...others] = all.filter((one) => one.hasRead());
    if (found !== undefined && others.length === 0) return found;
    this.#isInDoubt = true;
    return undefined;
  }
}

/**
 * The connections of a listener while its server drains: idle, busy, or after their last response.
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
import { systemClock } from "../../os/clock/clock.ts";
import { QUIET_MS, UNSURE_MS } from "../lifecycle/quiet.ts";
import { ClientPace } from "./client_pace.ts";
import { socketId, startCounting, type Traffic, trafficOf } from "../../os/net/traffic.ts";

/**
 * Like `UNSURE_MS`, for TCP without TLS, where a request can only be hidden if it arrived in the same
 * kernel tick as the last response.
 */
const TIE_MS = 2_000;

/** A connection that was idle for this long before the stop has no request that has just begun. */
const LONG_QUIET_MS = 2_000;

/** With more connections, the one that carried a request is not searched for. */
const MOST_SEARCHED = 256;

/** One connection. */
export class DrainingConnection {
  /** Whether a complete response has told the client to close the connection. */
  told = false;
  /** Whether it is known to speak HTTP/2, where requests are counted instead of bytes. */
  isHttp2 = false;
  /** The requests over HTTP/2 on it. */
  readonly pace = new ClientPace();
  readonly #fd: number;
  readonly #id: bigint;
  readonly #kind: ListenAddress["kind"];
  readonly #isTls: boolean;
  readonly #sinceMs: number;
  /** The number of pending requests. */
  #underWay = 0;
  #traffic: Traffic;
  #changedMs: number;
  /** The number of received bytes that belong to requests the server has seen. */
  #accounted: number;
  /** The number of bytes sent at that time. */
  #sentBefore: number;
  #isUnsure: boolean;
  /** Whether a request of unknown version has been answered on it. */
  #isToldMaybe = false;
  /** Makes the runtime read from it again. */
  #resume?: () => void;

  /**
   * @param fd Its descriptor. Borrowed.
   * @param options `id`: the id of its socket. `kind`: the kind of its address. `isTls`: whether it speaks
   * TLS. `traffic`: its counters. `nowMs`: the time of the counters.
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

  /** Whether the server has read from it since the counters were last taken. */
  hasRead(): boolean {
    const traffic = trafficOf(this.#fd, this.#kind);
    if (traffic === undefined) return false;
    const before = this.#traffic.received - this.#traffic.unread;
    this.#traffic = traffic;
    return traffic.received - traffic.unread > before;
  }

  /** Stores new counters. */
  update(traffic: Traffic, nowMs: number): void {
    const { received, sent = 0, last } = traffic;
    const before = this.#traffic;
    if (received !== before.received || sent !== (before.sent ?? 0)) this.#changedMs = nowMs;
    this.#traffic = traffic;
    if (received > this.#accounted && this.#isTls) {
      // The data may be anything, such as an HTTP/2 ping.
      this.#isUnsure = true;
      this.#accounted = received;
    }
    // Data sent after the received data is the response, or a part of it.
    if (this.hasAnswered && last !== "received") this.#accounted = received;
  }

  /** Whether data was sent on it since the stop. */
  get hasAnswered(): boolean {
    return (this.#traffic.sent ?? 0) > this.#sentBefore;
  }

  /** Whether the last data was sent by the server. */
  get sentLast(): boolean {
    return this.#traffic.last !== "received" && this.#traffic.unread === 0;
  }

  /**
   * Counts a request on it.
   *
   * @param overHttp2 Whether it came over HTTP/2; undefined if unknown.
   */
  begin(overHttp2: boolean | undefined): void {
    this.#underWay++;
    this.isHttp2 ||= overHttp2 === true;
    this.#account();
  }

  /** Counts a response that tells the client to close the connection. */
  answered(overHttp2: boolean | undefined): void {
    this.#underWay--;
    this.#account();
    if (overHttp2 === undefined) this.#isToldMaybe = true;
    else this.told = true;
    if (this.#underWay === 0) this.readOn();
    this.closeIfTold();
  }

  /** Stops reading from it until every request on it is answered. */
  readNoMore(): void {
    if (this.#underWay > 0) this.#resume ??= pauseReading(this.#fd);
  }

  /** Reads from it again. */
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

  /** Marks that a request has arrived on an unknown connection, maybe on this one. */
  doubt(): void {
    if (this.#traffic.received <= this.#accounted) return;
    this.#accounted = this.#traffic.received;
    this.#isUnsure = true;
  }

  /** Whether closing it loses nothing; an HTTP/2 connection also needs every request answered. */
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
   * Closes it after its last response, once the client has received that. The runtime closes it as if the
   * client had closed: pending output is written, and TLS ends in order.
   *
   * @param nowMs The time; undefined directly after a response.
   */
  closeIfTold(nowMs?: number): void {
    const isTold = this.told || this.#isToldMaybe && nowMs !== undefined && this.isIdle(nowMs);
    if (!isTold || this.isHttp2 || this.#underWay > 0) return;
    if (unreadBytes(this.#fd) === 0 && untakenBytes(this.#fd) === 0) this.endReceiving();
  }

  /** Makes the runtime find an end of file after its current work on the connection. */
  endReceiving(): void {
    // The runtime may have closed it, and its number may be in use by another connection.
    if (socketId(this.#fd) === this.#id) endReceiving(this.#fd);
  }
}

/** All connections of a listener. */
export class DrainingConnections {
  readonly #kind: ListenAddress["kind"];
  readonly #isTls: boolean;
  readonly #byId = new Map<bigint, DrainingConnection>();
  readonly #byPeer = new Map<string, DrainingConnection>();
  /** The requests over HTTP/2 on all connections of a unix socket, where a request does not always identify its own. */
  readonly #pace = new ClientPace();
  /** Whether a request has arrived on an unknown connection since the last scan. */
  #isInDoubt = false;

  constructor(kind: ListenAddress["kind"], isTls: boolean) {
    this.#kind = kind;
    this.#isTls = isTls;
  }

  /** Updates the records from a scan of the open connections, and returns the record of each. */
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
    this.#pace.clients = open.size;
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

  /** The records of all connections that were open at the last scan. */
  values(): Iterable<DrainingConnection> {
    return this.#byId.values();
  }

  /** The paces of all clients over HTTP/2 that were connected at the last scan. */
  paces(): ClientPace[] {
    return this.#kind === "inet" ? [...this.#byId.values()].map(({ pace }) => pace) : [this.#pace];
  }

  /** Counts a request over HTTP/2 until it is answered. A connection that was not scanned yet has no pace. */
  countUntil(completed: Promise<unknown>, connection: DrainingConnection | undefined): void {
    const pace = this.#kind === "inet" ? connection?.pace : this.#pace;
    if (pace === undefined) return;
    pace.begun(systemClock.nowMs());
    const answered = () => pace.answered(systemClock.nowMs());
    completed.then(answered, answered);
  }

  /**
   * Finds the connection on which a request has just arrived.
   *
   * @param peer The client's address in the form of `addressText`; undefined if clients have none or it is
   * unknown. Then the result is the only connection that was read from, if there is just one.
   * @returns The connection; undefined if it can't be determined.
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

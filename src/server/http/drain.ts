/**
 * The end of a server of the runtime, which loses no request.
 *
 * The runtime's own `shutdown` closes each connection between two requests, which loses a request that is
 * on its way at that moment, and it makes request bodies unreadable. So it is the last step. Before it the
 * server stops accepting, every response tells its client to close the connection, which is closed after
 * it, every request is answered, and every other connection is idle, by its byte counters. Near the end of
 * the time limit, `shutdown` is the last step too: it tells WebSockets that the server goes away. See
 * docs/design/22_draining.md.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { systemClock } from "../../os/clock/clock.ts";
import type { OpenConnection, OpenConnections } from "../../os/net/connections.ts";
import { addressText, type ListenAddress, listenAddressOf } from "../../os/net/socket.ts";
import { connectionLooks, QUIET_MS } from "../lifecycle/quiet.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { type DrainingConnection, DrainingConnections } from "./draining_connections.ts";
import { HeldAnswers } from "./held_answers.ts";
import type { EventStreams } from "./streamed_answers.ts";
import type { UpgradedPeers } from "./upgraded_peers.ts";

/** The time for the last events of event streams to reach their clients before connections are closed. */
const LAST_WORDS_MS = 100;

/** The number of microtask turns after which all released responses have reached the runtime. */
const RELEASE_TURNS = 32;

/** The server that is to end. */
export interface DrainedServer {
  readonly server: Deno.HttpServer;
  readonly address: ListenAddress;
  readonly isTls: boolean;
  /** Whether a request does not identify its connection. */
  readonly isBlind: boolean;
  readonly upgraded: UpgradedPeers;
  readonly events: EventStreams;
  /** Whether a connection at the address is one of this server. */
  owns(connection: OpenConnection): boolean;
}

/** The details that identify a request. */
export interface Exchange {
  readonly info?: Deno.ServeHandlerInfo;
  /** The address of the client, which can't be read any more after an upgrade. */
  readonly remoteAddr?: Deno.Addr;
  /** Whether it has come over HTTP/2; undefined if unknown. */
  readonly overHttp2?: boolean;
  /** Fulfilled when the handler has responded, where no `info` reports the end of the response. */
  readonly responded?: Promise<void>;
}

/**
 * - `serving`: it has not begun;
 * - `answering`: every response is the last one of its connection;
 * - `ending`: the same, and the server ends as soon as that loses nothing;
 * - `down`: the runtime's server was told to end;
 * - `closed`: it has ended.
 */
type Phase = "serving" | "answering" | "ending" | "down" | "closed";

/** The drain of one server. */
export class HttpDrain {
  /** The pending requests; before the begin, only those that take their time. */
  underWay = 0;
  /** Whether responses to requests that do not identify their connection may be streams, whose end is not reported. */
  hasStreamed = false;
  readonly #of: DrainedServer;
  readonly #finished: () => void;
  readonly #connections: DrainingConnections;
  readonly #held: HeldAnswers;
  /** The clients that have had their last response, on connections that were not scanned yet. */
  readonly #told = new Set<string>();
  #phase: Phase = "serving";
  #downMs = Infinity;
  #forgetEnding?: () => void;
  /** The pending requests whose connections need no more reading. */
  #readFully = 0;

  /** Makes the end of this process wait until the server has ended. */
  constructor(of: DrainedServer) {
    this.#of = of;
    this.#connections = new DrainingConnections(of.address.kind, of.isTls);
    this.#held = new HeldAnswers({
      underWay: () => this.underWay,
      paces: () => this.#connections.paces(),
      released: (all) => this.#shutdownBehindAnswers(all),
    });
    this.#finished = serverLifecycle.activity.begin({ standing: true });
  }

  /** Whether every response is the last one of its connection. */
  get hasBegun(): boolean {
    return this.#phase !== "serving";
  }

  get #isDown(): boolean {
    return this.#phase === "down" || this.#phase === "closed";
  }

  /** Makes every response from now on the last one of its connection. */
  begin(): void {
    if (this.hasBegun) return;
    this.#phase = "answering";
    connectionLooks.until((open) => this.#isOver(open));
    this.#forgetEnding = serverLifecycle.onEnding(() => this.#lastWords());
  }

  /** Ends the server as soon as this loses nothing. A second call does nothing. */
  end(): void {
    this.begin();
    if (this.#phase === "answering") this.#phase = "ending";
  }

  /** Counts a request until it is answered. */
  countUntil(completed: Promise<unknown>): void {
    this.underWay++;
    const answered = () => this.underWay--;
    completed.then(answered, answered);
  }

  /** Tracks a request until it is answered, and its connection beyond that. */
  follow({ info, remoteAddr, overHttp2, responded }: Exchange): DrainingConnection | undefined {
    const peer = remoteAddr?.transport === "tcp" ? textOf(remoteAddr) : undefined;
    // Nothing identifies the connection; on TCP the next scan sees that the request is answered.
    if (peer === undefined && this.#of.address.kind === "inet") return undefined;
    const connection = this.#connections.of(peer);
    connection?.begin(overHttp2);
    const answered = () => {
      if (connection !== undefined) connection.answered(overHttp2);
      // The connection was accepted since the last scan.
      else if (peer !== undefined && overHttp2 === false) this.#told.add(peer);
    };
    // The runtime writes the end of a response in this turn of the event loop.
    const completed = () => systemClock.setTimer(0, answered);
    if (responded !== undefined) {
      this.countUntil(responded);
      responded.then(completed);
    } else if (info === undefined) completed();
    else {
      this.countUntil(info.completed);
      if (overHttp2) this.#connections.countUntil(info.completed, connection);
      info.completed.then(completed, completed);
    }
    return connection;
  }

  /** Notes that a request over HTTP/2 needs no more input of its connection until it is answered. */
  readFully(connection: DrainingConnection, completed: Promise<unknown> | undefined): void {
    this.#readFully++;
    const answered = () => this.#readFully--;
    completed?.then(answered, answered);
    // The client's GOAWAY may follow, which would end the connection.
    if (this.#isDown) connection.readNoMore();
  }

  /** Returns a response over HTTP/2 when it may go out. */
  hold(response: Response): Promise<Response> {
    return this.#held.hold(response);
  }

  /** Scans the connections, and returns whether the server has ended. */
  #isOver(connections: Pick<OpenConnections, "at">): boolean {
    if (this.#phase === "closed") return true;
    const open = connections.at(this.#of.address).filter((one) => this.#of.owns(one));
    const nowMs = systemClock.nowMs(), known = this.#connections.look(open, nowMs);
    if (nowMs - this.#downMs >= QUIET_MS) this.#cutHandshakes(known.values());
    else if (!this.#isDown && this.#isQuiet(known, nowMs)) this.#shutdown();
    return false;
  }

  /** Whether the last step would lose nothing. */
  #isQuiet(known: Map<OpenConnection, DrainingConnection>, nowMs: number): boolean {
    let isIdle = true, isHttp2 = false;
    for (const [one, connection] of known) {
      if (this.#of.upgraded.has(one)) {
        isIdle = false;
        continue;
      }
      if (this.#told.delete(one.peer) || this.#isAnswered(connection)) connection.told = true;
      connection.closeIfTold(nowMs);
      isIdle &&= connection.isIdle(nowMs);
      isHttp2 ||= connection.isHttp2;
    }
    if (this.#phase !== "ending") return false;
    if (known.size === 0) return true;
    if (!isIdle) return false;
    if (!isHttp2) return this.underWay === 0;
    this.#held.begin();
    return false;
  }

  /** Closes connections in their handshake, for which the runtime would wait without a limit. */
  #cutHandshakes(known: Iterable<DrainingConnection>): void {
    if (!this.#of.isTls || this.underWay > 0) return;
    for (const connection of known) if (!connection.isHttp2) connection.endReceiving();
  }

  /** Whether a connection has had a response since the stop, by its byte counters. */
  #isAnswered({ hasAnswered, sentLast }: DrainingConnection): boolean {
    const isCertain = this.#of.isBlind && !this.hasStreamed && this.underWay === 0;
    return isCertain && hasAnswered && sentLast;
  }

  /**
   * Takes the last step directly after a release of responses, if it is safe: no response is missing, or
   * the missing ones need no more input. Input is then not read until they are sent, since the runtime ends
   * a connection on a GOAWAY of its client.
   */
  #shutdownBehindAnswers(all: boolean): boolean {
    if (!all && this.#readFully < this.underWay) return false;
    if (!all) { for (const connection of this.#connections.values()) connection.readNoMore(); }
    (async () => {
      for (let turn = 0; turn < RELEASE_TURNS; turn++) await undefined;
      this.#shutdown();
    })();
    return true;
  }

  /** Called shortly before the process ends, whatever is under way. */
  #lastWords(): void {
    this.#held.release();
    this.#of.events.endAll();
    systemClock.setTimer(LAST_WORDS_MS, () => this.#shutdown());
  }

  #shutdown(): void {
    if (this.#isDown) return;
    this.#phase = "down";
    this.#downMs = systemClock.nowMs();
    this.#forgetEnding?.();
    this.#of.server.shutdown()
      .catch((error) => zdebug("a server of HTTP has ended before:", error))
      .finally(() => {
        this.#phase = "closed";
        this.#finished();
      });
  }
}

function textOf(addr: Deno.Addr): string {
  return addressText(listenAddressOf(addr));
}

/**
 * A server of the runtime on an inherited descriptor: its request callback, and an end that loses no
 * request.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { defaultConfig } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { SERVER_IDLE_EXIT, SERVER_MAX_CONNECTIONS } from "../../config/settings.ts";
import { releaseAdopted } from "../../os/adopt/listener.ts";
import { systemClock } from "../../os/clock/clock.ts";
import type { OpenConnection, OpenConnections } from "../../os/net/connections.ts";
import { socketId } from "../../os/net/traffic.ts";
import { addressText, type ListenAddress, listenAddressOf } from "../../os/net/socket.ts";
import { connectionLooks } from "../lifecycle/quiet.ts";
import { type DrainingConnection, DrainingConnections } from "./draining_connections.ts";
import { QUIET_MS } from "../lifecycle/drain_limits.ts";
import { HeldAnswers } from "./held_answers.ts";
import { isThenable, lastAnswer, statusOf } from "./answer.ts";
import { serveInherited } from "./inherited.ts";
import type { HttpHandler, HttpServing, HttpTls } from "./handler.ts";
import { isHttp2 } from "./version.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { EventStreams, isEventStream, isStreamed } from "./streamed_answers.ts";
import { UpgradedPeers } from "./upgraded_peers.ts";
import { serverUsage } from "../lifecycle/usage.ts";

/** Methods whose requests have no body in the runtime. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "CONNECT"]);

/** The time for the last events of event streams to reach their clients before connections are closed. */
const LAST_WORDS_MS = 100;

/** The number of microtask turns after which all released responses have reached the runtime. */
const RELEASE_TURNS = 32;

/** The address and the handlers of a server. */
export interface Serving extends HttpServing {
  /** The address of the descriptor. */
  readonly address: ListenAddress;
  /** Certificate and key, for HTTP over TLS. */
  readonly tls?: HttpTls;
}

/** The details that identify a request. */
interface Exchange {
  readonly info?: Deno.ServeHandlerInfo;
  /** The address of the client, which can't be read any more after an upgrade. */
  readonly remoteAddr?: Deno.Addr;
  /** Whether it has come over HTTP/2; undefined if unknown. */
  readonly overHttp2?: boolean;
}

/**
 * A server of the runtime, until its last connection is closed.
 *
 * The runtime's own `shutdown` closes each connection between two requests, which loses a request that is
 * on its way at that moment, and it makes request bodies unreadable. So it is the last step. Before it the
 * server stops accepting, every response tells its client to close the connection, which is closed after
 * it, every request is answered, and every other connection is idle, by its byte counters. Near the end of
 * the time limit, `shutdown` is the last step too: it tells WebSockets that the server goes away. See
 * docs/design/22_draining.md.
 */
export class HttpRun {
  /** Fulfilled with the reason when the server has stopped accepting by itself. */
  readonly ended: Promise<Error>;
  readonly #server: Deno.HttpServer;
  readonly #finished: () => void;
  readonly #address: ListenAddress;
  readonly #isTls: boolean;
  readonly #upgraded: UpgradedPeers;
  readonly #events = new EventStreams();
  readonly #connections: DrainingConnections;
  readonly #held: HeldAnswers;
  /** The clients that have had their last response, on connections that were not scanned yet. */
  readonly #told = new Set<string>();
  /** Whether a request does not identify its connection. */
  readonly #isBlind: boolean;
  /** Whether the responses to such requests may be streams, whose end is not reported. */
  #hasStreamed = false;
  /** Whether every response is the last one of its connection. */
  #retired = false;
  #ending = false;
  /** Whether the runtime's server was told to end, and whether it has ended. */
  #isDown = false;
  #downMs = Infinity;
  #isClosed = false;
  #forgetEnding?: () => void;
  /** The server's own connections, once another server has taken the listener over. */
  #own?: ReadonlySet<bigint | undefined>;
  /** The pending requests; before `retire`, only those that take their time. */
  #underWay = 0;
  /** The pending requests whose connections need no more reading. */
  #readFully = 0;

  /**
   * @param fd The inherited descriptor. Borrowed.
   * @param serving The address and the handlers.
   * @throws {AdoptError} When this version of the runtime registers listeners in an unknown way.
   */
  constructor(fd: number, { address, handler, onError, tls }: Serving) {
    this.#address = address;
    this.#isTls = tls !== undefined;
    this.#upgraded = new UpgradedPeers(address);
    this.#connections = new DrainingConnections(address.kind, this.#isTls);
    this.#held = new HeldAnswers(() => this.#underWay, (all) => this.#shutdownBehindAnswers(all));
    // The runtime makes no request for such a handler, which saves a part of each answer.
    this.#isBlind = handler.length === 0 && !isLimited();
    this.#server = serveInherited(fd, {
      address,
      tls,
      handler: this.#isBlind ? this.#answeringBlindly(handler) : this.#answering(handler),
      onError: (error) => this.#answer(onError(error)),
    });
    this.#finished = serverLifecycle.activity.begin({ standing: true });
    const ended = Promise.withResolvers<Error>();
    this.ended = ended.promise;
    this.#server.finished.then(
      () => this.#retired || ended.resolve(new Error("the server has ended")),
      (error) => ended.resolve(error),
    );
  }

  /** Returns the request callback of the runtime's server. */
  #answering(handler: HttpHandler): HttpHandler {
    return (request, info) => {
      // Read now: it can't be read any more after an upgrade.
      const { remoteAddr } = info;
      serverUsage.noteWork();
      if (serverUsage.wantsRequests) serverUsage.requested(remoteAddr);
      if (this.#retired) return this.#answerLast(() => handler(request, info), request, info);
      if (!WITHOUT_BODY.has(request.method)) this.#countUntil(info.completed);
      return this.#answer(handler(request, info), info, remoteAddr, request);
    };
  }

  /** Returns a callback without parameters, for which the runtime creates no request and responds faster. */
  #answeringBlindly(handler: HttpHandler): HttpHandler {
    const ask = handler as () => Response | Promise<Response>;
    // A parameter with a default value does not count in `length`; over HTTP/2 there is a request even so,
    // without an upgrade or a body.
    return (
      request: Request | undefined = undefined,
      info: Deno.ServeHandlerInfo | undefined = undefined,
    ) => {
      serverUsage.noteWork();
      return this.#retired ? this.#answerLast(ask, request, info) : this.#answer(ask(), info);
    };
  }

  /**
   * Keeps a synchronous response synchronous, which is the fast path. An invalid response is passed on
   * unchanged: the runtime checks it and calls `onError`.
   */
  #answer(
    answer: Response | Promise<Response>,
    info?: Deno.ServeHandlerInfo,
    remoteAddr?: Deno.Addr,
    request?: Request,
  ): Response | Promise<Response> {
    if (!isThenable(answer)) return this.#passOn(answer as Response, info, remoteAddr, request);
    this.#underWay++;
    return Promise.resolve(answer).then(
      (response) => {
        this.#settle(info, remoteAddr);
        return this.#passOn(response, info, remoteAddr, request);
      },
      (error) => {
        this.#settle(info, remoteAddr);
        throw error;
      },
    );
  }

  #settle(info?: Deno.ServeHandlerInfo, remoteAddr?: Deno.Addr): void {
    this.#underWay--;
    // The request came before the stop, and its response says that it is the last one.
    if (this.#retired && info !== undefined) this.#follow({ info, remoteAddr });
  }

  #passOn(
    response: Response,
    info?: Deno.ServeHandlerInfo,
    remoteAddr?: Deno.Addr,
    request?: Request,
  ): Response {
    const status = statusOf(response);
    if (status === 0) return response;
    if (status === 101 && remoteAddr !== undefined) {
      // An upgraded connection, such as a WebSocket, is no HTTP connection any more.
      this.#upgraded.add(remoteAddr);
      return response;
    }
    const passed = isStreamed(response) ? this.#stream(response, info) : response;
    return this.#retired ? lastAnswer(passed, request) : passed;
  }

  #stream(response: Response, info?: Deno.ServeHandlerInfo): Response {
    if (info === undefined) this.#hasStreamed = true;
    // After the stop every request is counted.
    else if (!this.#retired) this.#countUntil(info.completed);
    return isEventStream(response.headers) ? this.#events.add(response) : response;
  }

  #countUntil(completed: Promise<unknown>): void {
    this.#underWay++;
    const answered = () => this.#underWay--;
    completed.then(answered, answered);
  }

  /** Answers a request that has come while the server drains. */
  #answerLast(
    ask: () => Response | Promise<Response>,
    request?: Request,
    info?: Deno.ServeHandlerInfo,
  ): Response | Promise<Response> {
    const overHttp2 = request !== undefined && isHttp2(request);
    const remoteAddr = info?.remoteAddr;
    const connection = this.#follow({ info, remoteAddr, overHttp2 });
    if (!overHttp2) {
      const answer = ask();
      return isThenable(answer)
        ? Promise.resolve(answer).then((response) =>
          this.#passOn(response, info, remoteAddr, request)
        )
        : this.#passOn(answer as Response, info, remoteAddr, request);
    }
    if (connection !== undefined && WITHOUT_BODY.has(request.method)) {
      this.#readFully++;
      const answered = () => this.#readFully--;
      info?.completed.then(answered, answered);
      // The client's GOAWAY may follow, which would end the connection.
      if (this.#isDown) connection.readNoMore();
    } else connection?.readOn();
    return this.#answerOverHttp2(ask, { request, info, remoteAddr, connection });
  }

  async #answerOverHttp2(
    ask: () => Response | Promise<Response>,
    { request, info, remoteAddr, connection }: Exchange & {
      readonly request: Request;
      readonly connection?: DrainingConnection;
    },
  ): Promise<Response> {
    const response = await ask();
    const isLong = statusOf(response) === 0 || isStreamed(response);
    const last = this.#passOn(response, info, remoteAddr, request);
    if (!isLong) return await this.#held.hold(last);
    // The client's window updates have to be read.
    connection?.readOn();
    return last;
  }

  /** Tracks a request until it is answered, and its connection beyond that. */
  #follow({ info, remoteAddr, overHttp2 }: Exchange): DrainingConnection | undefined {
    const peer = remoteAddr?.transport === "tcp" ? textOf(remoteAddr) : undefined;
    // Nothing identifies the connection; on TCP the next scan sees that the request is answered.
    if (peer === undefined && this.#address.kind === "inet") return undefined;
    const connection = this.#connections.of(peer);
    connection?.begin(overHttp2);
    const answered = () => {
      if (connection !== undefined) connection.answered(overHttp2);
      // The connection was accepted since the last scan.
      else if (peer !== undefined && overHttp2 === false) this.#told.add(peer);
    };
    // The runtime writes the end of a response in this turn of the event loop.
    const completed = () => systemClock.setTimer(0, answered);
    if (info === undefined) completed();
    else {
      this.#countUntil(info.completed);
      info.completed.then(completed, completed);
    }
    return connection;
  }

  /** Makes every response from now on tell its client to close the connection. */
  answerLast(): void {
    if (this.#retired) return;
    this.#retired = true;
    connectionLooks.until((open) => this.#isOver(open));
    this.#forgetEnding = serverLifecycle.onEnding(() => this.#lastWords());
  }

  /** Stops accepting and closes the socket; returns whether it was open. */
  stopAccepting(): boolean {
    return releaseAdopted(this.#server);
  }

  /** Limits this server to its own connections when another server takes the listener over. */
  keepOnly(own: readonly OpenConnection[]): void {
    this.#own = new Set(own.map(({ fd }) => socketId(fd)));
  }

  /** Whether a connection at its address is its own. */
  owns({ fd }: OpenConnection): boolean {
    return this.#own?.has(socketId(fd)) ?? true;
  }

  /** Ends the server as soon as this loses nothing. A second call does nothing. */
  retire(): void {
    this.answerLast();
    this.#ending = true;
  }

  /** The number of open event streams. */
  get eventStreams(): number {
    return this.#events.count;
  }

  /** Whether a connection was upgraded, for example to a WebSocket. */
  isUpgraded(connection: OpenConnection): boolean {
    return this.#upgraded.has(connection);
  }

  /** Scans the connections, and returns whether the server has ended. */
  #isOver(connections: Pick<OpenConnections, "at">): boolean {
    if (this.#isClosed) return true;
    const open = connections.at(this.#address).filter((one) => this.owns(one));
    const nowMs = systemClock.nowMs(), known = this.#connections.look(open, nowMs);
    if (nowMs - this.#downMs >= QUIET_MS) this.#cutHandshakes(known.values());
    else if (!this.#isDown && this.#isQuiet(known, nowMs)) this.#shutdown();
    return this.#isClosed;
  }

  /** Whether the last step would lose nothing. */
  #isQuiet(known: Map<OpenConnection, DrainingConnection>, nowMs: number): boolean {
    let isIdle = true, isHttp2 = false;
    for (const [one, connection] of known) {
      if (this.#upgraded.has(one)) {
        isIdle = false;
        continue;
      }
      if (this.#told.delete(one.peer) || this.#isAnswered(connection)) connection.told = true;
      connection.closeIfTold(nowMs);
      isIdle &&= connection.isIdle(nowMs);
      isHttp2 ||= connection.isHttp2;
    }
    if (!this.#ending) return false;
    if (known.size === 0) return true;
    if (!isIdle) return false;
    if (!isHttp2) return this.#underWay === 0;
    this.#held.begin();
    return false;
  }

  /** Closes connections in their handshake, for which the runtime would wait without a limit. */
  #cutHandshakes(known: Iterable<DrainingConnection>): void {
    if (!this.#isTls || this.#underWay > 0) return;
    for (const connection of known) if (!connection.isHttp2) connection.endReceiving();
  }

  /** Whether a connection has had a response since the stop, by its byte counters. */
  #isAnswered({ hasAnswered, sentLast }: DrainingConnection): boolean {
    return this.#isBlind && !this.#hasStreamed && this.#underWay === 0 && hasAnswered && sentLast;
  }

  /**
   * Takes the last step directly after a release of responses, if it is safe: no response is missing, or
   * the missing ones need no more input. Input is then not read until they are sent, since the runtime ends
   * a connection on a GOAWAY of its client.
   */
  #shutdownBehindAnswers(all: boolean): boolean {
    if (!all && this.#readFully < this.#underWay) return false;
    if (!all) { for (const connection of this.#connections.values()) connection.readNoMore(); }
    (async () => {
      for (let turn = 0; turn < RELEASE_TURNS; turn++) await undefined;
      this.#shutdown();
    })();
    return true;
  }

  /** Called shortly before the server ends, whatever is under way. */
  #lastWords(): void {
    this.#held.release();
    this.#events.endAll();
    systemClock.setTimer(LAST_WORDS_MS, () => this.#shutdown());
  }

  #shutdown(): void {
    if (this.#isDown) return;
    this.#isDown = true;
    this.#downMs = systemClock.nowMs();
    this.#forgetEnding?.();
    this.#server.shutdown()
      .catch((error) => zdebug("a server of HTTP has ended before:", error))
      .finally(() => {
        this.#isClosed = true;
        this.#finished();
      });
  }
}

function textOf(addr: Deno.Addr): string {
  return addressText(listenAddressOf(addr));
}

/** Whether the master wants reports of requests, which it may ask for a moment later. */
function isLimited(): boolean {
  return readStrictly(defaultConfig, SERVER_MAX_CONNECTIONS) !== undefined ||
    readStrictly(defaultConfig, SERVER_IDLE_EXIT) > 0 || serverUsage.wantsRequests;
}

/**
 * One server of the runtime on an inherited descriptor: what it calls for each request, and how it
 * comes to its end without losing one.
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

/** Requests that have no body for the runtime. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "CONNECT"]);

/** How long streams of events have to reach their clients' ends before connections are closed. */
const LAST_WORDS_MS = 100;

/** So many turns of the microtasks let all answers that were released reach the runtime. */
const RELEASE_TURNS = 32;

/** What is served, and by what. */
export interface Serving extends HttpServing {
  /** What the descriptor is bound to. */
  readonly address: ListenAddress;
  /** Certificate and key, for HTTP over TLS. */
  readonly tls?: HttpTls;
}

/** What tells one request from others. */
interface Exchange {
  readonly info?: Deno.ServeHandlerInfo;
  /** Where the client is; after an upgrade it can't be asked for any more. */
  readonly remoteAddr?: Deno.Addr;
  /** Whether it has come over HTTP/2, where that is known. */
  readonly overHttp2?: boolean;
}

/**
 * One server of the runtime, until its last connection is closed.
 *
 * The runtime's own `shutdown` closes each connection between two requests, and a request that is on
 * its way just then is lost; and it makes the bodies of requests unreadable. So it is the last step:
 * before it nothing is accepted any more, every answer tells its client to close the connection, which
 * is closed behind it, every request is answered, and every other connection is idle, which is judged
 * by the bytes that have gone over it. Near the end of the time for all that it is the last step too:
 * it tells WebSockets that the server goes. See docs/design/22_draining.md.
 */
export class HttpRun {
  /** Fulfilled with the reason when it accepts no more and nobody has told it to. */
  readonly ended: Promise<Error>;
  readonly #server: Deno.HttpServer;
  readonly #finished: () => void;
  readonly #address: ListenAddress;
  readonly #isTls: boolean;
  readonly #upgraded: UpgradedPeers;
  readonly #events = new EventStreams();
  readonly #connections: DrainingConnections;
  readonly #held: HeldAnswers;
  /** Clients that have had their last answer, of connections that were not looked at yet. */
  readonly #told = new Set<string>();
  /** Whether requests tell nothing of the connection that they have come over. */
  readonly #isBlind: boolean;
  /** Whether the answers of such requests may be streams, of which nothing is known later. */
  #hasStreamed = false;
  /** Whether every answer is the last one of its connection. */
  #retired = false;
  #ending = false;
  /** Whether the runtime's server is told to end, and whether it has. */
  #isDown = false;
  #downMs = Infinity;
  #isClosed = false;
  #forgetEnding?: () => void;
  /** The connections that are its own, where another server has taken the listener over. */
  #own?: ReadonlySet<bigint | undefined>;
  /** Requests that are not answered yet; until it is retired, only those that take their time. */
  #underWay = 0;
  /** Those of them for which nothing more has to be read from their connection. */
  #readFully = 0;

  /**
   * Starts it.
   *
   * @param fd The inherited descriptor. Borrowed.
   * @param serving What is served, and by what.
   * @throws {AdoptError} When the runtime registers listeners in a way that is not known here.
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

  /** What the runtime calls for each request. */
  #answering(handler: HttpHandler): HttpHandler {
    return (request, info) => {
      // After an upgrade it can't be asked for any more.
      const { remoteAddr } = info;
      serverUsage.noteWork();
      if (serverUsage.wantsRequests) serverUsage.requested(remoteAddr);
      if (this.#retired) return this.#answerLast(() => handler(request, info), request, info);
      if (!WITHOUT_BODY.has(request.method)) this.#countUntil(info.completed);
      return this.#answer(handler(request, info), info, remoteAddr, request);
    };
  }

  /** The runtime makes no request for a function without parameters, which saves a part of an answer. */
  #answeringBlindly(handler: HttpHandler): HttpHandler {
    const ask = handler as () => Response | Promise<Response>;
    // With its default value a parameter does not count; over HTTP/2 there is a request even so. It
    // can be neither upgraded nor asked for its body.
    return (
      request: Request | undefined = undefined,
      info: Deno.ServeHandlerInfo | undefined = undefined,
    ) => {
      serverUsage.noteWork();
      return this.#retired ? this.#answerLast(ask, request, info) : this.#answer(ask(), info);
    };
  }

  /**
   * A synchronous answer stays synchronous: that is the fast way. What a handler returns is passed on
   * unseen where it is no answer: the runtime has its own checks, which tell `onError`.
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
    // It has come before the stop, and its answer says that it is the last one.
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
      // An upgraded connection, such as a WebSocket, is not HTTP any more.
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
      // Behind it may come the client's word that it goes, which would end the connection.
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
    // The client says for how much of it there is room.
    connection?.readOn();
    return last;
  }

  /** Takes note of a request until it is answered, and of its connection for what comes then. */
  #follow({ info, remoteAddr, overHttp2 }: Exchange): DrainingConnection | undefined {
    const peer = remoteAddr?.transport === "tcp" ? textOf(remoteAddr) : undefined;
    // Nothing is known of it but that it has come; of TCP the next look sees that it is answered.
    if (peer === undefined && this.#address.kind === "inet") return undefined;
    const connection = this.#connections.of(peer);
    connection?.begin(overHttp2);
    const answered = () => {
      if (connection !== undefined) connection.answered(overHttp2);
      // It was accepted since the last look.
      else if (peer !== undefined && overHttp2 === false) this.#told.add(peer);
    };
    // The runtime writes the last of an answer in this turn of the event loop.
    const completed = () => systemClock.setTimer(0, answered);
    if (info === undefined) completed();
    else {
      this.#countUntil(info.completed);
      info.completed.then(completed, completed);
    }
    return connection;
  }

  /** Has every answer from now on tell its client to close the connection. */
  answerLast(): void {
    if (this.#retired) return;
    this.#retired = true;
    connectionLooks.until((open) => this.#isOver(open));
    this.#forgetEnding = serverLifecycle.onEnding(() => this.#lastWords());
  }

  /**
   * Accepts no more, and closes the socket.
   *
   * @returns Whether it was open; it may just have ended by itself.
   */
  stopAccepting(): boolean {
    return releaseAdopted(this.#server);
  }

  /**
   * Keeps it from taking the connections of the server that takes the listener over for its own.
   *
   * @param own Those that are its own.
   */
  keepOnly(own: readonly OpenConnection[]): void {
    this.#own = new Set(own.map(({ fd }) => socketId(fd)));
  }

  /**
   * Whether a connection at its address is its own.
   *
   * @param connection The connection.
   */
  owns({ fd }: OpenConnection): boolean {
    return this.#own?.has(socketId(fd)) ?? true;
  }

  /** Ends it as soon as nobody misses it. Harmless the second time. */
  retire(): void {
    this.answerLast();
    this.#ending = true;
  }

  /** How many streams of events are under way. */
  get eventStreams(): number {
    return this.#events.count;
  }

  /** Whether a connection was upgraded, to a WebSocket for example. */
  isUpgraded(connection: OpenConnection): boolean {
    return this.#upgraded.has(connection);
  }

  /** Looks at it, and returns whether it has come to its end. */
  #isOver(connections: Pick<OpenConnections, "at">): boolean {
    if (this.#isClosed) return true;
    const open = connections.at(this.#address).filter((one) => this.owns(one));
    const nowMs = systemClock.nowMs(), known = this.#connections.look(open, nowMs);
    if (nowMs - this.#downMs >= QUIET_MS) this.#cutHandshakes(known.values());
    else if (!this.#isDown && this.#isQuiet(known, nowMs)) this.#shutdown();
    return this.#isClosed;
  }

  /** Whether nothing is lost by the last step. */
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

  /** The runtime waits for the end of a handshake even then, and for as long as the client likes. */
  #cutHandshakes(known: Iterable<DrainingConnection>): void {
    if (!this.#isTls || this.#underWay > 0) return;
    for (const connection of known) if (!connection.isHttp2) connection.endReceiving();
  }

  /** Whether a connection has had an answer since the stop, which is known only by what has gone over it. */
  #isAnswered({ hasAnswered, sentLast }: DrainingConnection): boolean {
    return this.#isBlind && !this.#hasStreamed && this.#underWay === 0 && hasAnswered && sentLast;
  }

  /**
   * Takes the last step behind answers that have just been released, if it may be taken: when none is
   * missing, or those that are need nothing more to be read. What clients say to it is not read until they
   * are there, since the runtime ends a connection whose client says that it goes.
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

  /** In a moment the server ends, whatever is under way. */
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

/** Whether the master wants to know of requests, which it may say only in a moment. */
function isLimited(): boolean {
  return readStrictly(defaultConfig, SERVER_MAX_CONNECTIONS) !== undefined ||
    readStrictly(defaultConfig, SERVER_IDLE_EXIT) > 0 || serverUsage.wantsRequests;
}

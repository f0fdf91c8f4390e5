/**
 * A server of the runtime on an inherited descriptor: its request callback, which counts what is under way and
 * makes each response the last one while the server drains.
 *
 * @module
 */
import { defaultConfig } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { SERVER_IDLE_EXIT, SERVER_MAX_CONNECTIONS } from "../../config/settings.ts";
import { releaseAdopted } from "../../os/adopt/listener.ts";
import type { OpenConnection } from "../../os/net/connections.ts";
import type { ListenAddress } from "../../os/net/socket.ts";
import { socketId } from "../../os/net/traffic.ts";
import { serverUsage } from "../lifecycle/usage.ts";
import { isThenable, lastAnswer, statusOf } from "./answer.ts";
import { HttpDrain } from "./drain.ts";
import type { DrainingConnection } from "./draining_connections.ts";
import type { HttpHandler, HttpServing, HttpTls } from "./handler.ts";
import { serveInherited } from "./inherited.ts";
import { EventStreams, isEventStream, isPlain, isStreamed } from "./streamed_answers.ts";
import { mayUpgrade } from "./upgrade_request.ts";
import { UpgradedPeers } from "./upgraded_peers.ts";
import { isHttp2 } from "./version.ts";

/** Methods whose requests have no body in the runtime. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "CONNECT"]);

/** The address and the handlers of a server. */
export interface Serving extends HttpServing {
  /** The address of the descriptor. */
  readonly address: ListenAddress;
  /** Certificate and key, for HTTP over TLS. */
  readonly tls?: HttpTls;
}

/** A server of the runtime, until its last connection is closed. */
export class HttpRun {
  /** Fulfilled with the reason when the server has stopped accepting by itself. */
  readonly ended: Promise<Error>;
  /** Fulfilled when the server has closed its last connection. */
  readonly finished: Promise<void>;
  readonly #server: Deno.HttpServer;
  readonly #drain: HttpDrain;
  readonly #upgraded: UpgradedPeers;
  readonly #events = new EventStreams();
  /** The server's own connections, once another server has taken the listener over. */
  #own?: ReadonlySet<bigint | undefined>;

  /**
   * @param fd The inherited descriptor. Borrowed.
   * @param serving The address and the handlers.
   * @throws {AdoptError} When this version of the runtime registers listeners in an unknown way.
   */
  constructor(fd: number, { address, handler, onError, tls, options }: Serving) {
    const upgraded = this.#upgraded = new UpgradedPeers(address);
    // The runtime makes no request for such a handler, which saves a part of each answer.
    const isBlind = handler.length === 0 && !isLimited();
    const server = this.#server = serveInherited(fd, {
      address,
      tls,
      options,
      handler: isBlind ? this.#answeringBlindly(handler) : this.#answering(handler),
      onError: (error) => this.#answer(onError(error)),
    });
    const drain = this.#drain = new HttpDrain({
      server,
      address,
      isTls: tls !== undefined,
      isBlind,
      upgraded,
      events: this.#events,
      owns: (connection) => this.owns(connection),
    });
    this.finished = server.finished.catch(() => {});
    const ended = Promise.withResolvers<Error>();
    this.ended = ended.promise;
    server.finished.then(
      () => drain.hasBegun || ended.resolve(new Error("the server has ended")),
      (error) => ended.resolve(error),
    );
  }

  /** Returns the request callback of the runtime's server. */
  #answering(handler: HttpHandler): HttpHandler {
    return (request, info) => {
      serverUsage.noteWork();
      if (serverUsage.wantsRequests) serverUsage.requested(info.remoteAddr);
      if (this.#drain.hasBegun) {
        return this.#answerLast(() => handler(request, info), request, info);
      }
      // It can't be read any more after an upgrade.
      const remoteAddr = mayUpgrade(request) ? info.remoteAddr : undefined;
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
      return this.#drain.hasBegun
        ? this.#answerLast(ask, request, info)
        : this.#answer(ask(), info);
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
    this.#drain.underWay++;
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
    this.#drain.underWay--;
    // The request came before the stop, and its response says that it is the last one.
    if (this.#drain.hasBegun && info !== undefined) {
      this.#drain.follow({ info, remoteAddr: remoteAddr ?? info.remoteAddr });
    }
  }

  #passOn(
    response: Response,
    info?: Deno.ServeHandlerInfo,
    remoteAddr?: Deno.Addr,
    request?: Request,
  ): Response {
    if (isPlain(response) && !this.#drain.hasBegun) return response;
    const status = statusOf(response);
    if (status === 0) return response;
    if (status === 101 && remoteAddr !== undefined) {
      // An upgraded connection, such as a WebSocket, is no HTTP connection any more.
      this.#upgraded.add(remoteAddr);
      return response;
    }
    const passed = isStreamed(response) ? this.#stream(response, info) : response;
    return this.#drain.hasBegun ? lastAnswer(passed, request) : passed;
  }

  #stream(response: Response, info?: Deno.ServeHandlerInfo): Response {
    if (info === undefined) this.#drain.hasStreamed = true;
    // After the stop every request is counted.
    else if (!this.#drain.hasBegun) this.#drain.countUntil(info.completed);
    return isEventStream(response.headers) ? this.#events.add(response) : response;
  }

  /** Answers a request that has come while the server drains. */
  #answerLast(
    ask: () => Response | Promise<Response>,
    request?: Request,
    info?: Deno.ServeHandlerInfo,
  ): Response | Promise<Response> {
    const overHttp2 = request !== undefined && isHttp2(request);
    const remoteAddr = info?.remoteAddr;
    const { promise, resolve } = Promise.withResolvers<void>();
    const responded = info === undefined && !overHttp2 ? promise : undefined;
    const connection = this.#drain.follow({ info, remoteAddr, overHttp2, responded });
    const passOn = (response: Response) => this.#passOn(response, info, remoteAddr, request);
    if (!overHttp2) {
      return respond(ask, { passOn, responded: resolve });
    }
    if (connection !== undefined && WITHOUT_BODY.has(request.method)) {
      this.#drain.readFully(connection, info?.completed);
    } else connection?.readOn();
    return this.#answerOverHttp2(ask, passOn, connection);
  }

  async #answerOverHttp2(
    ask: () => Response | Promise<Response>,
    passOn: (response: Response) => Response,
    connection: DrainingConnection | undefined,
  ): Promise<Response> {
    const response = await ask();
    const isLong = statusOf(response) === 0 || isStreamed(response);
    const last = passOn(response);
    if (!isLong) return await this.#drain.hold(last);
    // The client's window updates have to be read.
    connection?.readOn();
    return last;
  }

  /** Makes every response from now on tell its client to close the connection. */
  answerLast(): void {
    this.#drain.begin();
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
    this.#drain.end();
  }

  /** The number of open event streams. */
  get eventStreams(): number {
    return this.#events.count;
  }

  /** Whether a connection was upgraded, for example to a WebSocket. */
  isUpgraded(connection: OpenConnection): boolean {
    return this.#upgraded.has(connection);
  }
}

/** Responds at once where the handler does; `responded` is called in any case. */
function respond(
  ask: () => Response | Promise<Response>,
  { passOn, responded }: {
    readonly passOn: (response: Response) => Response;
    readonly responded: () => void;
  },
): Response | Promise<Response> {
  let isLater = false;
  try {
    const answer = ask();
    if (!isThenable(answer)) return passOn(answer as Response);
    isLater = true;
    return Promise.resolve(answer).then(passOn).finally(responded);
  } finally {
    if (!isLater) responded();
  }
}

/** Whether the master wants reports of requests, which it may ask for a moment later. */
function isLimited(): boolean {
  return readStrictly(defaultConfig, SERVER_MAX_CONNECTIONS) !== undefined ||
    readStrictly(defaultConfig, SERVER_IDLE_EXIT) > 0 || serverUsage.wantsRequests;
}

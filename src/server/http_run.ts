/**
 * One server of the runtime on an inherited descriptor: what it calls for each request, and how it
 * comes to its end without losing one.
 *
 * @module
 */
import { defaultConfig } from "../config/config.ts";
import { readStrictly } from "../config/effective.ts";
import { SERVER_IDLE_EXIT, SERVER_MAX_CONNECTIONS } from "../config/settings.ts";
import { systemClock } from "../os/clock.ts";
import { hasUnread, type OpenConnections } from "../os/connections.ts";
import type { ListenAddress } from "../os/socket.ts";
import { connectionLooks } from "./connection_looks.ts";
import { serveInherited } from "./http_inherited.ts";
import { takesNothing } from "./http_parameters.ts";
import type { HttpHandler, HttpServing, HttpTls } from "./http_serving.ts";
import { serverLifecycle } from "./lifecycle.ts";
import { UpgradedPeers } from "./upgraded_peers.ts";
import { serverUsage } from "./usage.ts";

/** Without a request for this long, the connections that are still open are taken for idle. */
const QUIET_MS = 1000;

/** Requests that have no body for the runtime. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "CONNECT"]);

/** What is served, and by what. */
export interface Serving extends HttpServing {
  /** What the descriptor is bound to. */
  readonly address: ListenAddress;
  /** Certificate and key, for HTTP over TLS. */
  readonly tls?: HttpTls;
}

/**
 * One server of the runtime, until its last connection is closed.
 *
 * The runtime's own `shutdown` closes each connection between two requests, and a request that is on
 * its way just then is lost; and it makes the bodies of requests unreadable. So it is the last step:
 * before it nothing is accepted any more, every answer tells its client to close the connection, all
 * requests with a body are answered, and a second passes without a request; or the last client has
 * gone. It would cut WebSockets, too, and the runtime does not tell when one ends: the kernel does.
 */
export class HttpRun {
  /** Fulfilled with the reason when it accepts no more and nobody has told it to. */
  readonly ended: Promise<Error>;
  readonly #server: Deno.HttpServer;
  readonly #finished: () => void;
  #retired = false;
  #ending = false;
  /** How many requests have come, those aside that tell nothing of whether it is quiet. */
  #requests = 0;
  /** How many there were at the last look. */
  #seen = 0;
  #quietSinceMs = 0;
  /** Requests with a body that are not answered yet. */
  #unanswered = 0;
  readonly #address: ListenAddress;
  readonly #upgraded: UpgradedPeers;

  /**
   * Starts it.
   *
   * @param fd The inherited descriptor. Borrowed.
   * @param serving What is served, and by what.
   * @throws {AdoptError} When the runtime registers listeners in a way that is not known here.
   */
  constructor(fd: number, { address, handler, onError, tls }: Serving) {
    this.#address = address;
    this.#upgraded = new UpgradedPeers(address);
    this.#server = serveInherited(fd, {
      address,
      tls,
      handler: this.#answering(handler),
      onError: (error) => this.#last(onError(error)),
    });
    this.#finished = serverLifecycle.activity.begin({ standing: true });
    const ended = Promise.withResolvers<Error>();
    this.ended = ended.promise;
    this.#server.finished.then(
      () => this.#retired || ended.resolve(new Error("the server has ended")),
      (error) => ended.resolve(error),
    );
  }

  /** What the runtime calls for each request. It makes no request for a function without parameters. */
  #answering(handler: HttpHandler): HttpHandler {
    if (takesNothing(handler) && !isLimited()) {
      const ask = handler as () => Response | Promise<Response>;
      // With its default value the parameter does not count; over HTTP/2 there is a request even so.
      // It can be neither upgraded nor asked for its body.
      return (request: Request | undefined = undefined) => {
        this.#noteRequest(request);
        return this.#last(ask());
      };
    }
    return (request, info) => {
      this.#noteRequest(request);
      if (!WITHOUT_BODY.has(request.method)) this.#count(info);
      // After an upgrade it can't be asked for any more.
      const { remoteAddr } = info;
      if (serverUsage.wantsRequests) serverUsage.requested(remoteAddr);
      return this.#last(handler(request, info), remoteAddr);
    };
  }

  #noteRequest(request: Request | undefined): void {
    if (!this.#retired || request === undefined || !isHttp2(request)) this.#requests++;
  }

  #count({ completed }: Deno.ServeHandlerInfo): void {
    this.#unanswered++;
    const answered = () => this.#unanswered--;
    completed.then(answered, answered);
  }

  /**
   * A synchronous answer stays synchronous: that is the fast way. What a handler returns is passed on
   * unseen where it is no answer: the runtime has its own checks, which tell `onError`.
   */
  #last(
    answer: Response | Promise<Response>,
    remoteAddr?: Deno.Addr,
  ): Response | Promise<Response> {
    if (answer instanceof Promise) {
      return answer.then((response) => this.#last(response, remoteAddr));
    }
    if (isThenable(answer)) {
      return Promise.resolve(answer).then((response) => this.#last(response, remoteAddr));
    }
    if (statusOf(answer) === 101 && remoteAddr !== undefined) {
      // An upgraded connection, such as a WebSocket, is not HTTP any more.
      this.#upgraded.add(remoteAddr);
    } else if (this.#retired) return lastAnswer(answer);
    return answer;
  }

  /** Has every answer from now on tell its client to close the connection. */
  answerLast(): void {
    this.#retired = true;
  }

  /** Ends it as soon as nobody misses it. Harmless the second time. */
  retire(): void {
    if (this.#ending) return;
    this.#retired = this.#ending = true;
    // Those that have just connected have their second, too, though nobody has asked before.
    this.#quietSinceMs = systemClock.nowMs();
    this.#seen = this.#requests;
    connectionLooks.until((open) => this.#isOver(open))
      .then(() => this.#server.shutdown())
      .then(this.#finished, this.#finished);
  }

  #isOver(open: Pick<OpenConnections, "at">): boolean {
    const connections = open.at(this.#address);
    if (connections.length === 0) return true;
    return this.#isQuiet() && this.#unanswered === 0 &&
      !connections.some((one) => this.#upgraded.has(one) || hasUnread(one.fd));
  }

  /** Whether a second has passed between two looks without a request. */
  #isQuiet(): boolean {
    const nowMs = systemClock.nowMs();
    if (this.#requests !== this.#seen) {
      this.#seen = this.#requests;
      this.#quietSinceMs = nowMs;
    }
    return nowMs - this.#quietSinceMs >= QUIET_MS;
  }
}

/**
 * Over HTTP/2 no answer can tell the client to close the connection, and it needs none: `shutdown`
 * tells it (GOAWAY), and answers what is on its way (RFC 9113, section 6.8). Only HTTP/1.1 always has
 * a `Host` (RFC 9112, section 3.2).
 */
function isHttp2({ headers }: Request): boolean {
  return !headers.has("host");
}

/** Whether something is a promise of another making, which counts as one. */
function isThenable(answer: unknown): boolean {
  return typeof (answer as PromiseLike<unknown> | undefined)?.then === "function";
}

/** The status of an answer that can be sent; 0 for whatever the runtime will refuse. */
function statusOf(answer: unknown): number {
  if (!(answer instanceof Response)) return 0;
  try {
    return answer.bodyUsed ? 0 : answer.status;
  } catch {
    // Of that class, and not made by its constructor.
    return 0;
  }
}

/** An answer that tells the client to close the connection (RFC 9112, section 9.6). */
function lastAnswer(response: Response): Response {
  if (statusOf(response) === 0) return response;
  try {
    response.headers.set("connection", "close");
    return response;
  } catch {
    // A redirection, and what `fetch` has got: their headers can't be changed.
    const last = new Response(response.body, response);
    last.headers.set("connection", "close");
    return last;
  }
}

/** Whether the master wants to know of requests, which it may say only in a moment. */
function isLimited(): boolean {
  return readStrictly(defaultConfig, SERVER_MAX_CONNECTIONS) !== undefined ||
    readStrictly(defaultConfig, SERVER_IDLE_EXIT) > 0 || serverUsage.wantsRequests;
}

/**
 * HTTP on an inherited descriptor, by the runtime's own server: Deno.serve at native speed.
 *
 * @module
 */
import { zdebug, zinfo } from "../log/log.ts";
import { AdoptError, adoptInto, muteAdopted } from "../os/adopt.ts";
import { systemClock } from "../os/clock.ts";
import { sendAtOnce } from "../os/connections.ts";
import { closeFd } from "../os/descriptor.ts";
import { connectionsAt, hasUnread } from "../os/connections.ts";
import { mayUseFfi } from "../os/permissions.ts";
import type { FdType, ListenAddress } from "../os/socket.ts";
import { spareDescriptor } from "../os/spare_descriptor.ts";
import { type AcceptCounts, countAccepts } from "./accept_counts.ts";
import type { HttpErrorHandler, HttpHandler, HttpServing, HttpTls } from "./http_serving.ts";
import { closeServed } from "./last_connections.ts";
import { serverLifecycle } from "./lifecycle.ts";
import { serviceAddress } from "./service_address.ts";
import { Shortage } from "./shortage.ts";
import { TlsContext, type TlsOptions } from "./tls.ts";
import { unavailable } from "./http_unavailable.ts";
import { UpgradedPeers } from "./upgraded_peers.ts";
import { serverUsage } from "./usage.ts";

export type { HttpHandler } from "./http_serving.ts";

/** What can be set for {@linkcode serveHttp}: what Deno.serve takes, but for where to listen. */
export interface ServeHttpOptions {
  /**
   * Answers in place of a handler that has thrown.
   *
   * @default Logs the error and answers 500.
   */
  readonly onError?: (error: unknown) => Response | Promise<Response>;
  /**
   * Certificate and key: HTTP/2 and HTTP/1.1 over TLS. Only for `inet`.
   *
   * @default No TLS.
   */
  readonly tls?: TlsOptions | TlsContext;
}

/**
 * Answers HTTP requests on a descriptor of `serviceRegister`, until the server is told to stop. It
 * then accepts no more, finishes what is under way, and answers with `Connection: close`. A server
 * that drains waits until the last connection is closed; those on which nothing happens are closed
 * when a second has passed without a request, and upgraded ones, such as WebSockets, are kept for as
 * long as it drains.
 *
 * A client that finds no descriptor free is answered 503, unless it speaks TLS.
 *
 * Without `--allow-ffi` and `--allow-net`, or where this version of the runtime can't serve an
 * inherited descriptor, node:http serves it: slower, and without WebSockets.
 *
 * @param fd The descriptor; it is the service's from now on.
 * @param fdType What `serviceRegister` was told; not `fifo`.
 * @param handler Answers one request.
 * @param options What else can be set.
 * @throws {TypeError} For a fifo, for TLS on a unix socket, or when `fd` is no listening socket.
 * @throws {ConfigError} When certificate or key are unusable; it names the file.
 */
export function serveHttp(
  fd: number,
  fdType: FdType,
  handler: HttpHandler,
  options: ServeHttpOptions = {},
): void {
  if (fdType === "fifo") {
    throw new TypeError(`Cannot serve HTTP on descriptor ${fd}: a fifo, expected "inet" or "unix"`);
  }
  const address = serviceAddress(fd);
  const { kind } = address;
  const tls = options.tls && httpTls(fd, { kind, tls: options.tls });
  const serving = { handler, onError: options.onError ?? answerError };
  if (!mayUseFfi()) return serveByNode(fd, serving, tls);
  try {
    new HttpService(fd, {
      ...serving,
      address,
      serve: (common, handler) =>
        kind === "unix"
          ? Deno.serve({ path: `\0${crypto.randomUUID()}`, ...common }, handler)
          : Deno.serve({ hostname: "127.0.0.1", port: 0, ...tls, ...common }, handler),
    });
  } catch (error) {
    if (!(error instanceof AdoptError)) throw error;
    zinfo(`${error.message}; descriptor ${fd} is served through node:http, which is slower`);
    serveByNode(fd, serving, tls);
  }
}

function serveByNode(fd: number, serving: HttpServing, tls?: HttpTls): void {
  // What comes meanwhile waits in the queue.
  const loaded = serverLifecycle.activity.begin();
  import("./node_http.ts").then(({ NodeHttpService }) => new NodeHttpService(fd, serving, tls))
    .catch((error) => zinfo(`Cannot serve HTTP on descriptor ${fd}:`, error)).finally(loaded);
}

function httpTls(
  fd: number,
  { kind, tls }: { kind: FdType; tls: TlsOptions | TlsContext },
): HttpTls {
  if (kind === "unix") {
    throw new TypeError(`Cannot serve HTTP over TLS on descriptor ${fd}: unix, expected "inet"`);
  }
  const { cert, key } = TlsContext.of(tls).identity;
  if (mayUseFfi()) sendAtOnce(fd);
  return { cert, key };
}

/** Without a request for this long, the connections that are still open are taken for idle. */
const QUIET_MS = 1000;

/** How often to look whether it is quiet, while draining. */
const LOOK_MS = 100;

/** With many connections a look takes its time: it is let rest so many times as long. */
const LOOK_REST = 20;

/** Requests that have no body for the runtime. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "CONNECT"]);

/** What is served, and by what. */
interface Serving extends HttpServing {
  readonly address: ListenAddress;
  readonly serve: (
    common: { onError: HttpErrorHandler; onListen: () => void },
    handler: HttpHandler,
  ) => Deno.HttpServer;
}

/**
 * Keeps a server of the runtime going on an inherited descriptor.
 *
 * The runtime's own ends its accepting at the first error of accept(2), such as a lack of
 * descriptors; then the next one takes over what waits in the queue.
 */
class HttpService {
  readonly #fd: number;
  readonly #serving: Serving;
  readonly #counts: AcceptCounts;
  readonly #shortage: Shortage;
  readonly #releaseSpare: () => void;
  #run: HttpRun;
  #stopping = false;

  constructor(fd: number, serving: Serving) {
    this.#fd = fd;
    this.#serving = serving;
    // First of all: where it throws, the descriptor stays the caller's, and nothing is left behind.
    this.#run = this.#start();
    this.#releaseSpare = spareDescriptor.hold();
    this.#counts = countAccepts(serving.address);
    this.#counts.accepted = undefined;
    serverUsage.count(() => connectionsAt(serving.address).length);
    this.#shortage = new Shortage(this.#counts, {
      fd,
      // To start again takes two, and gives one back.
      needed: 2,
      answer: unavailable,
    });
    serverLifecycle.onStopAccepting(
      (last) => {
        this.#run.answerLast();
        closeServed(() => this.#stop(), { last, fd });
      },
      fd,
    );
  }

  #start(): HttpRun {
    const run = new HttpRun(this.#fd, this.#serving);
    run.ended.then((error) => this.#replace(run, error));
    return run;
  }

  async #replace(run: HttpRun, error: Error): Promise<void> {
    run.retire();
    while (!this.#stopping) {
      this.#counts.errors++;
      await this.#shortage.pause(error);
      if (this.#stopping) return;
      try {
        this.#run = this.#start();
        return;
      } catch (startError) {
        error = startError as Error;
      }
    }
  }

  #stop(): void {
    this.#stopping = true;
    try {
      muteAdopted(this.#fd);
    } catch (error) {
      // It has just ended by itself.
      zdebug("accepting has ended before:", error);
    }
    this.#counts.log();
    this.#shortage.stop();
    this.#releaseSpare();
    closeFd(this.#fd);
    this.#run.retire();
  }
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
class HttpRun {
  /** Fulfilled with the reason when it accepts no more and nobody has told it to. */
  readonly ended: Promise<Error>;
  readonly #server: Deno.HttpServer;
  readonly #finished: () => void;
  #retired = false;
  #ending = false;
  #lastRequestMs = -Infinity;
  /** Requests with a body that are not answered yet. */
  #unanswered = 0;
  readonly #address: ListenAddress;
  readonly #upgraded: UpgradedPeers;

  constructor(fd: number, { address, handler, onError, serve }: Serving) {
    this.#address = address;
    this.#upgraded = new UpgradedPeers(address);
    this.#server = adoptInto(fd, () =>
      serve({
        onError: (error) => this.#last(onError(error)),
        onListen: () => {
          // The address would be the throw-away one.
        },
      }, (request, info) => {
        if (!this.#retired || !isHttp2(request)) this.#lastRequestMs = systemClock.nowMs();
        if (!WITHOUT_BODY.has(request.method)) this.#count(info);
        // After an upgrade it can't be asked for any more.
        const { remoteAddr } = info;
        if (serverUsage.wantsRequests) serverUsage.requested(remoteAddr);
        return this.#last(handler(request, info), remoteAddr);
      }));
    this.#finished = serverLifecycle.activity.begin({ standing: true });
    const ended = Promise.withResolvers<Error>();
    this.ended = ended.promise;
    this.#server.finished.then(
      () => this.#retired || ended.resolve(new Error("the server has ended")),
      (error) => ended.resolve(error),
    );
  }

  #count({ completed }: Deno.ServeHandlerInfo): void {
    this.#unanswered++;
    const answered = () => this.#unanswered--;
    completed.then(answered, answered);
  }

  /** A synchronous answer stays synchronous: that is the fast way. */
  #last(
    answer: Response | Promise<Response>,
    remoteAddr?: Deno.Addr,
  ): Response | Promise<Response> {
    if (answer instanceof Promise) {
      return answer.then((response) => this.#last(response, remoteAddr));
    }
    if (answer.status === 101 && remoteAddr !== undefined) {
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
    this.#lastRequestMs = systemClock.nowMs();
    this.#look();
  }

  #look(pauseMs = LOOK_MS): void {
    systemClock.setTimer(pauseMs, () => {
      const beginMs = systemClock.nowMs();
      if (this.#isOver()) {
        this.#server.shutdown().then(this.#finished, this.#finished);
        return;
      }
      const tookMs = systemClock.nowMs() - beginMs;
      this.#look(Math.max(LOOK_MS, LOOK_REST * tookMs));
    });
  }

  #isOver(): boolean {
    const connections = connectionsAt(this.#address);
    if (connections.length === 0) return true;
    const quietMs = systemClock.nowMs() - this.#lastRequestMs;
    return quietMs >= QUIET_MS && this.#unanswered === 0 &&
      !connections.some((one) => this.#upgraded.has(one) || hasUnread(one.fd));
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

/** An answer that tells the client to close the connection (RFC 9112, section 9.6). */
function lastAnswer(response: Response): Response {
  const last = new Response(response.body, response);
  last.headers.set("connection", "close");
  return last;
}

function answerError(error: unknown): Response {
  zinfo("error while answering a request:", error);
  return new Response("Internal Server Error", { status: 500 });
}

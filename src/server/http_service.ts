/**
 * HTTP on an inherited descriptor, by the runtime's own server: Deno.serve at native speed.
 *
 * @module
 */
import { zinfo } from "../log/log.ts";
import { adoptInto, muteAdopted } from "../os/adopt.ts";
import { systemClock } from "../os/clock.ts";
import { closeFd } from "../os/descriptor.ts";
import { describeListener, type FdType } from "../os/socket.ts";
import { serverLifecycle } from "./lifecycle.ts";

/** What can be set for {@linkcode serveHttp}: what Deno.serve takes, but for where to listen. */
export interface ServeHttpOptions {
  /**
   * Answers in place of a handler that has thrown.
   *
   * @default Logs the error and answers 500.
   */
  readonly onError?: (error: unknown) => Response | Promise<Response>;
}

/** Answers one request. */
export type HttpHandler<A extends Deno.Addr = Deno.Addr> = (
  request: Request,
  info: Deno.ServeHandlerInfo<A>,
) => Response | Promise<Response>;

/**
 * Answers HTTP requests on a descriptor of `serviceRegister`, until the server is told to stop. It
 * then accepts no more, finishes what is under way, and answers with `Connection: close` until a
 * second has passed without a request; a server that drains waits for that.
 *
 * Needs `--allow-ffi`, `--allow-net` and `--allow-read`.
 *
 * @param fd The descriptor; it is the service's from now on.
 * @param fdType What `serviceRegister` was told; not `fifo`.
 * @param handler Answers one request.
 * @param options What else can be set.
 * @throws {TypeError} For a fifo, or when `fd` is no listening socket.
 * @throws {AdoptError} When this version of the runtime can't serve an inherited descriptor;
 * node:http with `listen({ fd })` can.
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
  const { kind } = describeListener(fd);
  const common = { onError: options.onError ?? answerError, onListen };
  new HttpService(
    fd,
    handler,
    (counted) =>
      kind === "unix"
        ? Deno.serve({ path: `\0${crypto.randomUUID()}`, ...common }, counted)
        : Deno.serve({ hostname: "127.0.0.1", port: 0, ...common }, counted),
  );
}

/** How long to wait with the next try when the server has ended by itself. */
const RESTART_PAUSE_MS = 100;

/** Without a request for this long, the connections that are still open are taken for idle. */
const QUIET_MS = 1000;

/** How often to look whether it is quiet, while draining. */
const LOOK_MS = 100;

/**
 * Keeps one server of the runtime going on an inherited descriptor.
 *
 * The runtime's own `shutdown` closes each connection between two requests, and a request that is on
 * its way just then is lost. So it is the last step: before it nothing is accepted any more, every
 * answer tells its client to close the connection, and a second passes without a request.
 */
class HttpService {
  readonly #fd: number;
  readonly #handler: HttpHandler;
  readonly #serve: (handler: HttpHandler) => Deno.HttpServer;
  readonly #finished = serverLifecycle.activity.begin();
  #server?: Deno.HttpServer;
  #stopping = false;
  #lastRequestMs = -Infinity;
  /** Handlers under way. */
  #underWay = 0;

  constructor(fd: number, handler: HttpHandler, serve: (handler: HttpHandler) => Deno.HttpServer) {
    this.#fd = fd;
    this.#handler = handler;
    this.#serve = serve;
    this.#start();
    serverLifecycle.onStopAccepting(() => this.#stop());
  }

  /**
   * Starts a server. The runtime's own ends at the first error of accept(2), such as a lack of
   * descriptors; then the next one takes over what waits in the queue.
   */
  #start(): void {
    this.#server = adoptInto(this.#fd, () => this.#serve(this.#answer));
    this.#server.finished.then(
      () => this.#end(),
      (error) => this.#restart(error),
    );
  }

  /** A synchronous answer stays synchronous: that is the fast way. */
  readonly #answer: HttpHandler = (request, info) => {
    this.#lastRequestMs = systemClock.nowMs();
    const answer = this.#handler(request, info);
    if (!(answer instanceof Promise)) return this.#stopping ? lastAnswer(answer) : answer;
    this.#underWay++;
    return answer
      .then((response) => this.#stopping ? lastAnswer(response) : response)
      .finally(() => this.#underWay--);
  };

  #restart(error: Error): void {
    if (this.#stopping) return this.#end();
    this.#server = undefined;
    zinfo(`Cannot accept a connection: ${error.message}; accepting goes on after a pause`);
    systemClock.setTimer(RESTART_PAUSE_MS, () => {
      if (this.#stopping) return;
      try {
        this.#start();
      } catch (error) {
        this.#restart(error as Error);
      }
    });
  }

  #stop(): void {
    this.#stopping = true;
    if (this.#server === undefined) return this.#end();
    muteAdopted(this.#fd);
    this.#shutdownWhenQuiet(this.#server);
  }

  #shutdownWhenQuiet(server: Deno.HttpServer): void {
    const quietMs = systemClock.nowMs() - this.#lastRequestMs;
    if (quietMs >= QUIET_MS && this.#underWay === 0) server.shutdown();
    else systemClock.setTimer(LOOK_MS, () => this.#shutdownWhenQuiet(server));
  }

  #end(): void {
    closeFd(this.#fd);
    this.#finished();
  }
}

/** An answer that tells the client to close the connection (RFC 9112, section 9.6). */
function lastAnswer(response: Response): Response {
  // An upgraded connection, such as a WebSocket, is not HTTP any more.
  if (response.status === 101) return response;
  const last = new Response(response.body, response);
  last.headers.set("connection", "close");
  return last;
}

function onListen(): void {
  // The address would be the throw-away one.
}

function answerError(error: unknown): Response {
  zinfo("error while answering a request:", error);
  return new Response("Internal Server Error", { status: 500 });
}

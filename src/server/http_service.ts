/**
 * HTTP on an inherited descriptor, by the runtime's own server: Deno.serve at native speed.
 *
 * @module
 */
import { zdebug, zinfo } from "../log/log.ts";
import { adoptInto, muteAdopted } from "../os/adopt.ts";
import { systemClock } from "../os/clock.ts";
import { closeFd } from "../os/descriptor.ts";
import { describeListener, type FdType } from "../os/socket.ts";
import { serverLifecycle } from "./lifecycle.ts";
import { Shortage } from "./shortage.ts";
import { serverUsage } from "./usage.ts";

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
 * second has passed without a request; a server that drains waits for that. One that has upgraded a
 * connection, to a WebSocket for example, takes all of its time: the runtime does not tell when such a
 * connection ends.
 *
 * Needs all permissions, for FFI and `/proc/self`: `-A`.
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
  new HttpService(fd, {
    handler,
    onError: options.onError ?? answerError,
    serve: (common, handler) =>
      kind === "unix"
        ? Deno.serve({ path: `\0${crypto.randomUUID()}`, ...common }, handler)
        : Deno.serve({ hostname: "127.0.0.1", port: 0, ...common }, handler),
  });
}

/** Without a request for this long, the connections that are still open are taken for idle. */
const QUIET_MS = 1000;

/**
 * How often to look whether it is quiet, while draining. The first time is not at once: a connection
 * that has just been accepted is there before its first request.
 */
const LOOK_MS = 100;

/** Requests that have no body for the runtime. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "CONNECT"]);

type ErrorHandler = (error: unknown) => Response | Promise<Response>;

/** What is served, and by what. */
interface Serving {
  readonly handler: HttpHandler;
  readonly onError: ErrorHandler;
  readonly serve: (
    common: { onError: ErrorHandler; onListen: () => void },
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
  readonly #shortage = new Shortage();
  #run: HttpRun;
  #stopping = false;

  constructor(fd: number, serving: Serving) {
    this.#fd = fd;
    this.#serving = serving;
    this.#run = this.#start();
    serverLifecycle.onStopAccepting(() => this.#stop());
  }

  #start(): HttpRun {
    const run = new HttpRun(this.#fd, this.#serving);
    run.ended.then((error) => this.#replace(run, error));
    return run;
  }

  async #replace(run: HttpRun, error: Error): Promise<void> {
    run.retire();
    while (!this.#stopping) {
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
      // It has just ended by itself, or there is no descriptor left to find it out with.
      zdebug("accepting ends with the server only:", error);
    }
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
 * requests with a body are answered, and a second passes without a request.
 */
class HttpRun {
  /** Fulfilled with the reason when it accepts no more and nobody has told it to. */
  readonly ended: Promise<Error>;
  readonly #server: Deno.HttpServer;
  /** Set when a server that drains has to wait for it. */
  #finished: () => void = () => {};
  #retired = false;
  #lastRequestMs = -Infinity;
  /** Requests with a body that are not answered yet. */
  #unanswered = 0;
  /** Whether there may be a WebSocket, whose end the runtime does not tell: `shutdown` would cut it. */
  #upgraded = false;

  constructor(fd: number, { handler, onError, serve }: Serving) {
    this.#server = adoptInto(fd, () =>
      serve({
        onError: (error) => this.#last(onError(error)),
        onListen: () => {
          // The address would be the throw-away one.
        },
      }, (request, info) => {
        this.#lastRequestMs = systemClock.nowMs();
        if (serverUsage.wantsRequests) serverUsage.requested(info);
        if (!WITHOUT_BODY.has(request.method)) this.#count(info);
        return this.#last(handler(request, info));
      }));
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
  #last(answer: Response | Promise<Response>): Response | Promise<Response> {
    if (answer instanceof Promise) return answer.then((response) => this.#last(response));
    // An upgraded connection, such as a WebSocket, is not HTTP any more.
    if (answer.status === 101) {
      this.#upgraded = true;
      serverUsage.upgraded();
    } else if (this.#retired) return lastAnswer(answer);
    return answer;
  }

  /** Ends it as soon as nobody misses it. Harmless the second time. */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#finished = serverLifecycle.activity.begin();
    this.#look();
  }

  #look(): void {
    systemClock.setTimer(LOOK_MS, () => {
      const quietMs = systemClock.nowMs() - this.#lastRequestMs;
      if (quietMs < QUIET_MS || this.#unanswered > 0 || this.#upgraded) return this.#look();
      this.#server.shutdown().then(this.#finished, this.#finished);
    });
  }
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

/**
 * HTTP on an inherited descriptor, by the runtime's own server: Deno.serve at native speed.
 *
 * @module
 */
import { requireOptions } from "../config/check_options.ts";
import { zerror } from "../log/log.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { type OpenConnection, OpenConnections } from "../os/net/connections.ts";
import type { FdType } from "../os/net/socket.ts";
import { isOutOfDescriptors, reserveDescriptor } from "../os/fd/reserve_fd.ts";
import { backend } from "./backend/chosen.ts";
import { type AcceptCounts, countAccepts } from "./listen/accept_counts.ts";
import { HttpRun, type Serving } from "./http/native.ts";
import type {
  HttpHandler,
  HttpService,
  HttpServing,
  HttpTls,
  RuntimeOptions,
} from "./http/handler.ts";
import { closeServed } from "./listen/drain_queue.ts";
import { serverLifecycle } from "./lifecycle/lifecycle.ts";
import { logFault } from "./lifecycle/missing_permission.ts";
import type { OpenWork } from "./lifecycle/open_work.ts";
import { FdExhaustion } from "./listen/fd_exhaustion.ts";
import { TlsContext, type TlsOptions } from "./tls/context.ts";
import { internalServerError, unavailable } from "./http/error_answers.ts";
import { serverUsage } from "./lifecycle/usage.ts";

export type { HttpHandler } from "./http/handler.ts";

/** The options of {@linkcode serveHttp}: those of Deno.serve, without its address. */
export interface ServeHttpOptions {
  /**
   * Answers a request whose handler has thrown.
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
 * Answers HTTP requests on a descriptor of `serviceRegister`, until the server is told to stop. Then it stops
 * accepting, finishes the requests under way, answers with `Connection: close`, and closes each connection after
 * that response. A draining server waits until the last connection is closed: idle ones are closed within 1 to
 * 5 s, and upgraded ones, such as WebSockets, are kept while it drains. A second before its end WebSockets get a
 * close frame (1001), and event streams (`text/event-stream`) end: `softstopSignal` lets a program end them
 * earlier.
 *
 * Clients of HTTP/2 are told to end their connection (GOAWAY) at a moment at which none has a request on its way,
 * for which answers are held back for up to a second. A request that takes longer to arrive after an answer, or is
 * sent at a fixed time, may be lost then: the client learns that the server ends, and may ask again.
 *
 * Without a free descriptor, pending connections are rejected with 503, or without a response if they speak TLS.
 *
 * Without `--allow-ffi` and `--allow-net`, or where this version of the runtime can't serve an inherited
 * descriptor, it is served through node:net: slower, over HTTP/1 only, and without WebSockets. TLS needs
 * `--allow-read` for its two files in any case.
 *
 * @param fd The descriptor, owned by the service from now on.
 * @param fdType The type that `serviceRegister` received; not `fifo`.
 * @param handler Answers one request. For a handler without parameters, such as `() => new Response("hello")`, no
 * request object is created, which is faster.
 * @param options The options.
 * @throws {TypeError} For a fifo, for TLS on a unix socket, or when `fd` is no listening socket.
 * @throws {ConfigError} When certificate or key are unusable; it names the file.
 */
export function serveHttp(
  fd: number,
  fdType: FdType,
  handler: HttpHandler,
  options: ServeHttpOptions = {},
): void {
  requireOptions("serveHttp", options, { tls: true, onError: true });
  const tls = options.tls && TlsContext.of(options.tls);
  openHttp(fd, fdType, handler, { onError: options.onError, tls });
}

/** The options of {@linkcode openHttp}. */
export interface OpenHttpOptions extends Pick<ServeHttpOptions, "onError"> {
  /** Certificate and key, in PEM. */
  readonly tls?: HttpTls;
  /** See {@linkcode RuntimeOptions}. */
  readonly runtime?: RuntimeOptions;
  /** See {@linkcode HttpServing}; with it the runtime's server, which knows no such limit, is not used. */
  readonly mostConnections?: number;
}

/**
 * Answers HTTP requests as {@linkcode serveHttp}, and returns the service.
 *
 * @throws {TypeError} As {@linkcode serveHttp}.
 */
export function openHttp(
  fd: number,
  fdType: FdType,
  handler: HttpHandler,
  { onError = answerError, tls, runtime, mostConnections }: OpenHttpOptions,
): HttpService {
  if (fdType === "fifo") {
    throw new TypeError(`Cannot serve HTTP on descriptor ${fd}: a fifo, expected "inet" or "unix"`);
  }
  const address = backend().addressOf(fd);
  if (tls !== undefined) {
    if (address.kind === "unix") {
      throw new TypeError(`Cannot serve HTTP over TLS on descriptor ${fd}: unix, expected "inet"`);
    }
    backend().sendAtOnce(fd);
  }
  const serving = { handler, onError, options: runtime };
  if (mostConnections !== undefined) return serveByNode(fd, { ...serving, mostConnections }, tls);
  return backend().serveHttp(fd, {
    native: () => new RuntimeHttpService(fd, { ...serving, address, tls }),
    node: () => serveByNode(fd, serving, tls),
  });
}

function serveByNode(fd: number, serving: HttpServing, tls?: HttpTls): HttpService {
  // Connections that arrive meanwhile wait in the queue.
  const loaded = serverLifecycle.activity.begin();
  const opened = import("./http1/node_http.ts")
    .then(({ NodeHttpService }) => new NodeHttpService(fd, serving, tls))
    .catch((error) => void zerror(`Cannot serve HTTP on descriptor ${fd}:`, error))
    .finally(loaded);
  return {
    finished: opened.then((service) => service?.finished),
    stop: () => void opened.then((service) => service?.stop()),
  };
}

/**
 * A succession of the runtime's servers on an inherited descriptor.
 *
 * Each stops accepting at the first error of accept(2), such as a lack of descriptors; then the next one takes
 * over the pending connections.
 */
class RuntimeHttpService implements HttpService {
  readonly finished: Promise<void>;
  readonly #fd: number;
  readonly #serving: Serving;
  readonly #counts: AcceptCounts;
  readonly #fdExhaustion: FdExhaustion;
  readonly #releaseReserve: () => void;
  /** The server that accepts. */
  #run: HttpRun;
  /** All servers that may have connections. */
  readonly #runs = new Set<HttpRun>();
  /** The connections of the last look, which stand for those of one that fails for lack of a descriptor. */
  #lastOpen: readonly OpenConnection[] = [];
  #stopping = false;
  #isAborted = false;
  readonly #finished = Promise.withResolvers<void>();
  readonly #forgetStop: () => void;

  constructor(fd: number, serving: Serving) {
    this.#fd = fd;
    this.#serving = serving;
    // First of all: if it throws, the caller still owns the descriptor, and nothing is left behind.
    this.#run = this.#start();
    this.#releaseReserve = reserveDescriptor.hold();
    this.#counts = countAccepts(serving.address);
    this.#counts.accepted = undefined;
    serverUsage.count(serving.address);
    serverLifecycle.countOpen(() => this.#open());
    this.#fdExhaustion = new FdExhaustion(this.#counts, {
      fd,
      // A restart needs two descriptors, and frees one.
      needed: 2,
      answer: unavailable,
    });
    this.finished = this.#finished.promise;
    this.#forgetStop = serverLifecycle.onStopAccepting((last) => this.#drain(last), fd);
    serving.options?.signal?.addEventListener("abort", () => this.#abort(), { once: true });
  }

  stop(): void {
    this.#forgetStop();
    this.#drain(false);
  }

  /** The runtime closes its servers by itself, which it can't without their sockets. */
  async #abort(): Promise<void> {
    this.#isAborted = true;
    await Promise.all([...this.#runs].map(({ finished }) => finished));
    this.stop();
  }

  #drain(last: boolean): void {
    for (const run of this.#runs) run.answerLast();
    closeServed(() => this.#stop(), { last, fd: this.#fd });
  }

  #start(): HttpRun {
    const run = new HttpRun(this.#fd, this.#serving);
    this.#runs.add(run);
    run.ended.then((error) => this.#isAborted ? undefined : this.#replace(run, error));
    return run;
  }

  async #replace(run: HttpRun, error: Error): Promise<void> {
    let isKept = this.#triesToKeepConnections(run);
    while (!this.#stopping) {
      this.#counts.errors++;
      await this.#fdExhaustion.pause(error);
      if (this.#stopping) return;
      try {
        if (!isKept) this.#keepConnections(run);
        isKept = true;
        this.#run = this.#start();
        return;
      } catch (startError) {
        error = startError as Error;
      }
    }
  }

  /** Keeps the connections if a descriptor is free for the look at them. */
  #triesToKeepConnections(run: HttpRun): boolean {
    try {
      this.#keepConnections(run);
      return true;
    } catch (error) {
      if (isOutOfDescriptors(error)) return false;
      throw error;
    }
  }

  /** Keeps a server that has stopped accepting for its connections; without connections it ends. */
  #keepConnections(run: HttpRun): void {
    const open = new OpenConnections().at(this.#serving.address);
    const others = [...this.#runs].filter((one) => one !== run);
    run.keepOnly(open.filter((one) => !others.some((other) => other.owns(one))));
    for (const one of this.#runs) {
      if (open.some((connection) => one.owns(connection))) continue;
      this.#runs.delete(one);
      one.retire();
    }
  }

  #open(): OpenWork {
    const connections = OpenConnections.find()?.at(this.#serving.address) ?? this.#lastOpen;
    this.#lastOpen = connections;
    const runs = [...this.#runs];
    return {
      connections: connections.length,
      webSockets: connections.filter((one) => runs.some((run) => run.isUpgraded(one))).length,
      eventStreams: runs.reduce((sum, run) => sum + run.eventStreams, 0),
    };
  }

  #stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#run.stopAccepting();
    this.#counts.log();
    this.#fdExhaustion.stop();
    this.#releaseReserve();
    closeFd(this.#fd);
    const runs = [...this.#runs];
    for (const run of runs) run.retire();
    Promise.all(runs.map(({ finished }) => finished)).then(() => this.#finished.resolve());
  }
}

/** The runtime's response; its log line would not reach the log of this server. */
function answerError(error: unknown): Response {
  logFault("error while answering a request:", error);
  return internalServerError();
}

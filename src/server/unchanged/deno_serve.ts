/**
 * `Deno.serve` for a program that knows nothing of its master.
 *
 * @module
 */
import { openHttp } from "../serve_http.ts";
import { runtimeFunctions } from "../../os/net/runtime_functions.ts";
import type { HttpHandler, HttpService, HttpTls } from "../http/handler.ts";
import { portOf, type RequestedAddress } from "./addresses.ts";
import type { ProgramService, ProgramServices } from "./services.ts";

/** The options of `Deno.serve`, of all kinds of addresses. */
type ServeOptions =
  & Deno.ServeOptions
  & { readonly handler?: HttpHandler }
  & Partial<Omit<Deno.ServeTcpOptions, keyof Deno.ServeOptions | "transport">>
  & Partial<Pick<Deno.ServeUnixOptions, "path">>
  & Partial<Pick<Deno.TlsCertifiedKeyPem, "cert" | "key">>
  & { readonly transport?: string };

/** The port of `Deno.serve` without one. */
const DEFAULT_PORT = 8000;

/** The symbol of the runtime's own call for a main module that exports `fetch`. */
const OF_MAIN_MODULE = "kLoadBalanced";

/**
 * Makes a function in place of `Deno.serve`.
 *
 * @param services The services of the program.
 * @param exported `port`: the port of `deno serve --port`. `onCall`: called when the runtime serves what the main
 * module exports.
 */
export function makeServe(
  services: ProgramServices,
  exported: { readonly port?: number; onCall(): void },
): typeof Deno.serve {
  const serve = (...args: unknown[]) => {
    const { options, handler } = readArguments(args);
    const isExported = Object.getOwnPropertySymbols(options)
      .some(({ description }) => description === OF_MAIN_MODULE);
    const { port } = exported, isAtPort = isExported && port !== undefined;
    const asked = isAtPort ? { ...options, port } : options;
    const taken = handler === undefined
      ? undefined
      : isExported && !isAtPort
      ? services.takeAll()
      : takeOne(services, asked);
    if (isExported) exported.onCall();
    if (handler && taken) return new ProgramHttpServer(taken, handler, options);
    // The runtime says what is wrong with the arguments.
    return Reflect.apply(runtimeFunctions.serve, Deno, isAtPort ? [asked] : args);
  };
  return serve as typeof Deno.serve;
}

function readArguments(
  [first, second]: readonly unknown[],
): { readonly options: ServeOptions; readonly handler: HttpHandler | undefined } {
  const isHandler = typeof first === "function";
  const options = (isHandler ? second : first) ?? {};
  const handler = isHandler ? first : second ?? (options as ServeOptions).handler;
  return {
    options: typeof options === "object" ? options : {},
    handler: typeof handler === "function" ? handler as HttpHandler : undefined,
  };
}

function takeOne(
  services: ProgramServices,
  options: ServeOptions,
): readonly ProgramService[] | undefined {
  const requested = requestedBy(options), service = requested && services.take(requested);
  return service && [service];
}

/** The address that the options ask for; undefined for kinds that no service has. */
function requestedBy(
  { transport, path, hostname, port: given = DEFAULT_PORT }: ServeOptions,
): RequestedAddress | undefined {
  if (typeof path === "string") return { kind: "unix", path };
  if (transport !== undefined && transport !== "tcp") return undefined;
  const port = portOf(given);
  return port === undefined ? undefined : { kind: "inet", hostname: hostname ?? "0.0.0.0", port };
}

/** Where an exported application is served whose program opens its addresses itself. */
const NOWHERE: Deno.Addr = { transport: "tcp", hostname: "0.0.0.0", port: 0 };

/** A server on sockets of the master. */
class ProgramHttpServer implements Deno.HttpServer {
  readonly finished: Promise<void>;
  readonly #services: readonly ProgramService[];
  readonly #handler: HttpHandler;
  readonly #options: ServeOptions;
  readonly #open: HttpService[] = [];
  readonly #stopped = Promise.withResolvers<void>();
  #isStopped = false;

  /**
   * @param services Where it listens.
   * @param handler Answers one request.
   * @param options The options of `Deno.serve`.
   */
  constructor(services: readonly ProgramService[], handler: HttpHandler, options: ServeOptions) {
    this.#handler = handler;
    this.#options = options;
    this.#services = services;
    this.finished = Promise.all(services.map((service) => this.#serve(service))).then(() => {});
    // An open service ends at the signal by itself.
    options.signal?.addEventListener("abort", () => this.#openNoMore(), { once: true });
    if (options.signal?.aborted) this.#openNoMore();
  }

  get addr(): Deno.Addr {
    return this.#services[0]?.addr ?? NOWHERE;
  }

  /** Listens, and returns when the last connection is closed. */
  async #serve(service: ProgramService): Promise<void> {
    const { onListen, onError, signal, automaticCompression } = this.#options;
    const opening = service.use(() => !this.#isStopped, ({ fd, type }) => {
      const open = openHttp(fd, type, this.#handler, {
        onError,
        tls: tlsOf(this.#options),
        runtime: { signal, automaticCompression },
      });
      this.#open.push(open);
      onListen?.(service.addr);
      return open;
    });
    const open = await Promise.race([opening, this.#stopped.promise]);
    await open?.finished;
    service.release();
  }

  #openNoMore(): void {
    this.#isStopped = true;
    if (this.#open.length === 0) this.#stopped.resolve();
  }

  async shutdown(): Promise<void> {
    this.#openNoMore();
    for (const open of this.#open) open.stop();
    await this.finished;
  }

  /** Does nothing: the master decides how long the process runs. */
  ref(): void {}

  /** See {@linkcode ref}. */
  unref(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }
}

function tlsOf({ cert, key }: ServeOptions): HttpTls | undefined {
  return cert === undefined || key === undefined ? undefined : { cert, key };
}

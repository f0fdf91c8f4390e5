/**
 * The types of HTTP handlers, for every kind of server.
 *
 * @module
 */

/** Answers one request. */
export type HttpHandler<A extends Deno.Addr = Deno.Addr> = (
  request: Request,
  info: Deno.ServeHandlerInfo<A>,
) => Response | Promise<Response>;

/** Answers a request whose handler has thrown. */
export type HttpErrorHandler = (error: unknown) => Response | Promise<Response>;

/** Options of Deno.serve for the runtime's own server. */
export type RuntimeOptions = Pick<Deno.ServeOptions, "signal" | "automaticCompression">;

/** Both handlers. */
export interface HttpServing {
  readonly handler: HttpHandler;
  readonly onError: HttpErrorHandler;
  /** See {@linkcode RuntimeOptions}. */
  readonly options?: RuntimeOptions;
  /**
   * How many connections are open at once: beyond that the oldest is closed that waits for a request, or else the
   * oldest. Only without the runtime's server.
   *
   * @default {Infinity}
   */
  readonly mostConnections?: number;
}

/** A service that answers HTTP requests. */
export interface HttpService {
  /** Fulfilled when it has stopped accepting and its last connection is closed. */
  readonly finished: Promise<void>;
  /** Stops accepting, and closes each connection after its last answer. A second call does nothing. */
  stop(): void;
}

/** The certificate and key of HTTP over TLS, in PEM. */
export interface HttpTls {
  readonly cert: string;
  readonly key: string;
  /** The time limit of a handshake, where it is not the runtime's own. */
  readonly handshakeSeconds?: number;
}

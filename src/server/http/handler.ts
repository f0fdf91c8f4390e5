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

/** Both handlers. */
export interface HttpServing {
  readonly handler: HttpHandler;
  readonly onError: HttpErrorHandler;
}

/** The certificate and key of HTTP over TLS, in PEM. */
export interface HttpTls {
  readonly cert: string;
  readonly key: string;
  /** The time limit of a handshake, where it is not the runtime's own. */
  readonly handshakeSeconds?: number;
}

/**
 * What answers HTTP requests, whichever server takes them: types only.
 *
 * @module
 */

/** Answers one request. */
export type HttpHandler<A extends Deno.Addr = Deno.Addr> = (
  request: Request,
  info: Deno.ServeHandlerInfo<A>,
) => Response | Promise<Response>;

/** Answers in place of a handler that has thrown. */
export type HttpErrorHandler = (error: unknown) => Response | Promise<Response>;

/** Both. */
export interface HttpServing {
  readonly handler: HttpHandler;
  readonly onError: HttpErrorHandler;
}

/** Certificate and key of HTTP over TLS, in PEM. */
export interface HttpTls {
  readonly cert: string;
  readonly key: string;
  /** How long a client may take for its handshake, where that is not the runtime's own. */
  readonly handshakeSeconds?: number;
}

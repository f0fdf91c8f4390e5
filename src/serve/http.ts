/**
 * Services that speak HTTP: handlers, applications with a `fetch` method, and servers of node.
 *
 * @module
 */
import type { Server } from "node:net";
import { requireOptions } from "../config/check_options.ts";
import { cannot } from "../config/errors.ts";
import { type HttpHandler, serveHttp, type ServeHttpOptions, serveNode } from "../server/common.ts";
import { isTracked, runFor } from "../server/lifecycle/served.ts";
import { ServiceCertificate, type ServiceTls } from "./certificate.ts";
import { OF_CONNECTIONS, requireType, Service } from "./service.ts";

/** An application as `deno serve` runs it, such as one of Hono: any object with `fetch`. */
export interface FetchApplication {
  /** Answers one request; it gets the address of the client as second argument. */
  fetch(request: Request, info: Deno.ServeHandlerInfo): Response | Promise<Response>;
}

/** The options of {@linkcode http}. */
export interface HttpOptions extends Pick<ServeHttpOptions, "onError"> {
  /**
   * HTTPS with this certificate, or, if true, with the one of `server-tls-cert` and `server-tls-key`.
   *
   * @default No TLS.
   */
  readonly tls?: ServiceTls;
}

/**
 * A service that speaks HTTP, with options. Without options the handler or application alone will do.
 *
 * @param handler Answers one request, or an application with `fetch`.
 * @param options The options.
 * @returns The service, for `serve`.
 *
 * @example
 * ```ts
 * import { http, serve } from "@zc/master/serve";
 *
 * if (import.meta.main) {
 *   await serve({ web: http(() => new Response("hello\n"), { tls: true }) });
 * }
 * ```
 */
export function http(handler: HttpHandler | FetchApplication, options: HttpOptions = {}): Service {
  requireOptions("http", options, { tls: true, onError: true });
  const { tls, ...rest } = options;
  // A handler without parameters is faster, so a function is passed on as it is.
  const answer: HttpHandler = typeof handler === "function"
    ? handler
    : (request, info) => handler.fetch(request, info);
  const certificate = tls && new ServiceCertificate(tls);
  return new Service(
    (fd, fdType, { service }) => {
      requireType(service, fdType, certificate ? ["inet"] : OF_CONNECTIONS);
      return serveHttp(fd, fdType, runningFor(service, answer), {
        ...rest,
        ...(certificate && { tls: certificate.context() }),
      });
    },
    () => certificate?.prepare(),
  );
}

/** The same handler, whose errors name the service where there are others. */
function runningFor(service: string, handler: HttpHandler): HttpHandler {
  if (!isTracked()) return handler;
  if (handler.length > 0) {
    return (request, info) => runFor({ service }, () => handler(request, info));
  }
  const blind = handler as () => Response | Promise<Response>;
  return () => runFor({ service }, blind);
}

/** Has the errors of a server of node name the service where there are others. */
function runForService(server: Server, service: string): Server {
  if (!isTracked()) return server;
  const emit = server.emit;
  // What a listener starts belongs to the service, that of a connection included.
  server.emit = (...args: unknown[]) =>
    runFor({ service }, () => Reflect.apply(emit, server, args));
  return server;
}

/**
 * A service of a server of node:http, node:https, node:http2 or node:net, as Express, Fastify and Koa have one.
 *
 * @param server The server, which does not listen yet, or a function that makes one for each address.
 * @returns The service, for `serve`.
 *
 * @example
 * ```ts
 * import { createServer } from "node:http";
 * import { nodeServer, serve } from "@zc/master/serve";
 *
 * if (import.meta.main) {
 *   await serve({
 *     web: nodeServer(() => createServer((_request, answer) => answer.end("hello\n"))),
 *   });
 * }
 * ```
 */
export function nodeServer(server: Server | (() => Server | Promise<Server>)): Service {
  let served = false;
  return new Service(async (fd, fdType, { service }) => {
    requireType(service, fdType, OF_CONNECTIONS);
    if (typeof server === "function") {
      return serveNode(fd, fdType, runForService(await server(), service));
    }
    if (served) {
      throw new TypeError(cannot("serve", service, {
        found: "a second address for one server of node",
        expected: "a function that makes a server for each: nodeServer(() => createServer(app))",
      }));
    }
    served = true;
    serveNode(fd, fdType, runForService(server, service));
  });
}

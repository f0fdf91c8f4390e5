/**
 * `listen` of node's servers for a program that knows nothing of its master: node:net, http, https, http2 and tls,
 * which all call the one of node:net.
 *
 * @module
 */
import { Server } from "node:net";
import { openNodeServer } from "../http/serve_node.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { portOf, type RequestedAddress } from "./addresses.ts";
import type { ProgramService, ProgramServices } from "./services.ts";

/** The options of `listen`. */
interface ListenOptions {
  readonly port?: number | string | null;
  readonly host?: string;
  readonly path?: string;
  readonly fd?: number;
  readonly handle?: unknown;
  readonly _handle?: unknown;
  readonly signal?: AbortSignal;
}

/** A server of node:net, or one of node:http with another method. */
type NodeServer = Server & { closeIdleConnections?: () => void };

/** The methods that are replaced while a server has a socket of the master. */
const REPLACED = ["address", "close", "closeIdleConnections"] as const;

type Methods = Partial<Pick<NodeServer, typeof REPLACED[number]>>;

const PENDING = new WeakSet<Server>();

/** Has every server of node listen on the sockets of the master. */
export function replaceNodeListen(services: ProgramServices): void {
  const listen = Server.prototype.listen;
  const own = function (this: Server, ...args: unknown[]): Server {
    const options = optionsOf(args), requested = requestedBy(options);
    if (PENDING.has(this)) throw alreadyListens();
    // A server that listens, and wrong arguments, are errors of node.
    const service = requested && !this.listening ? services.take(requested) : undefined;
    if (service === undefined) return Reflect.apply(listen, this, args);
    const callback = args.at(-1);
    if (typeof callback === "function") this.once("listening", callback as () => void);
    options.signal?.addEventListener("abort", () => this.close(), { once: true });
    serve(this, service);
    if (options.signal?.aborted) this.close();
    return this;
  };
  Server.prototype.listen = own as typeof listen;
}

/** Reads the arguments of `listen`: options, a path, or port and host. */
function optionsOf([first, second]: readonly unknown[]): ListenOptions {
  if (typeof first === "object" && first !== null) return first;
  if (typeof first === "string" && !/^[0-9]+$/.test(first.trim())) return { path: first };
  const port = typeof first === "function" ? undefined : first as ListenOptions["port"];
  return { port: port ?? 0, ...(typeof second === "string" && { host: second }) };
}

/** The address that is asked for; undefined for a descriptor, and for what node refuses. */
function requestedBy(options: ListenOptions): RequestedAddress | undefined {
  const { port, host = "::", path, fd, handle = options._handle } = options;
  if (fd !== undefined || handle !== undefined) return undefined;
  if (port === undefined || port === null) {
    if (typeof path === "string") return { kind: "unix", path };
    return "port" in options ? { kind: "inet", hostname: host, port: 0 } : undefined;
  }
  const number = portOf(port);
  return number === undefined ? undefined : { kind: "inet", hostname: host, port: number };
}

/** Has a server listen as soon as its socket is there; until then it has its address already. */
async function serve(server: NodeServer, service: ProgramService): Promise<void> {
  const given = methodsOf(server);
  let isClosed = false;
  PENDING.add(server);
  server.once("close", () => service.release());
  const address = () => {
    const { addr } = service;
    if (addr.transport === "unix") return addr.path;
    const { hostname, port } = addr;
    return { address: hostname, family: hostname.includes(":") ? "IPv6" : "IPv4", port };
  };
  const closePending = (callback?: (error?: Error) => void): Server => {
    // The program may have kept this function from before.
    if (!isClosed && !PENDING.has(server)) return server.close(callback);
    if (callback !== undefined) server.once("close", callback);
    if (!isClosed) queueMicrotask(() => server.emit("close"));
    isClosed = true;
    PENDING.delete(server);
    restore(server, given);
    return server;
  };
  Object.assign(server, { address, close: closePending });
  try {
    const stop = await service.use(() => !isClosed, ({ fd, type }) => {
      PENDING.delete(server);
      restore(server, given);
      return openNodeServer(fd, type, server);
    });
    if (stop !== undefined) closeGently(server, stop);
  } catch (error) {
    server.emit("error", error);
  }
}

/** The methods that the program itself has replaced. */
function methodsOf(server: NodeServer): Methods {
  const own = REPLACED.filter((name) => Object.hasOwn(server, name));
  return Object.fromEntries(own.map((name) => [name, server[name]]));
}

/** Gives a server its methods again. */
function restore(server: NodeServer, given: Methods): void {
  for (const name of REPLACED) Reflect.deleteProperty(server, name);
  Object.assign(server, given);
}

/**
 * Makes `close` lose nothing: a connection is closed after an answer that says so, or when it was idle for a while.
 * Node closes idle connections at once, with the requests that are on their way.
 */
function closeGently(server: NodeServer, stop: () => void): void {
  const close = server.close.bind(server);
  let isClosing = false;
  const closeIdle = server.closeIdleConnections?.bind(server);
  const own = (callback?: (error?: Error) => void) => {
    if (isClosing) return close(callback);
    isClosing = true;
    if (callback !== undefined) server.once("close", callback);
    stop();
    return server;
  };
  Object.assign(server, { close: own });
  if (closeIdle === undefined) return;
  Object.assign(server, {
    // Usually called right before `close`, or by a handler of SIGTERM right before the stop.
    closeIdleConnections: () => {
      queueMicrotask(() => {
        if (!isClosing && serverLifecycle.accepting) closeIdle();
      });
    },
  });
}

function alreadyListens(): Error {
  const error = new Error("Listen method has been called more than once without closing.");
  return Object.assign(error, { code: "ERR_SERVER_ALREADY_LISTEN" });
}

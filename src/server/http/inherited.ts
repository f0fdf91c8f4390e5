/**
 * Deno.serve on an inherited descriptor, with the same information for the handler as from a server that
 * has opened the address itself.
 *
 * The inherited socket replaces the socket of a throw-away listener, whose address the runtime would show
 * in two places: the `url` of a request without a Host comes from the socket's address at the start of the
 * server, and `remoteAddr` on a unix socket is the path that was passed to `Deno.serve`. So the socket is
 * replaced before the server starts: between listening and starting, the runtime reads the handler's
 * `length`, which can be a property with a getter. The path is replaced afterwards.
 *
 * @module
 */
import { adoptInto } from "../../os/adopt/listener.ts";
import { runtimeFunctions } from "../../os/net/runtime_functions.ts";
import { type ListenAddress, listenAddressOf } from "../../os/net/socket.ts";
import type { HttpErrorHandler, HttpHandler, HttpTls, RuntimeOptions } from "./handler.ts";

/** The range of ports, which is the kernel's default for ephemeral ports. */
const FIRST_PORT = 32_768, PORTS = 28_232;

/** The number of attempts to find a free port. */
const MOST_PORTS = 20;

/** The options of {@linkcode serveInherited}. */
export interface InheritedServing {
  /** The address of the descriptor. */
  readonly address: ListenAddress;
  readonly handler: HttpHandler;
  readonly onError: HttpErrorHandler;
  /** Certificate and key, for HTTP over TLS. */
  readonly tls?: HttpTls;
  /** See {@linkcode RuntimeOptions}. */
  readonly options?: RuntimeOptions;
}

/**
 * Starts a server of the runtime.
 *
 * @param fd A listening socket. Borrowed: the server gets a duplicate.
 * @param serving The address and handlers. The handler's `length` is replaced for a moment.
 * @returns The server. Its own `addr` is the throw-away one, except the path of a unix socket.
 * @throws {AdoptError} When this version of the runtime registers listeners in an unknown way, or the
 * program may not listen.
 */
export function serveInherited(fd: number, serving: InheritedServing): Deno.HttpServer {
  const { handler, address } = serving;
  const { length } = handler;
  for (let tries = 1;; tries++) {
    const addr = throwawayAddr(address);
    try {
      const server = adoptInto(fd, (adoptAt) => {
        const callback = () => adoptAt(listenAddressOf(addr));
        whenLengthIsRead(handler, { length, callback });
        return serveAt(addr, serving);
      });
      // The runtime takes the path of `remoteAddr` from this very object.
      if (address.kind === "unix") (server.addr as Deno.Addr as Deno.UnixAddr).path = address.path;
      return server;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) || tries === MOST_PORTS) throw error;
    }
  }
}

type ThrowawayAddr =
  | (Deno.NetAddr & { transport: "tcp" })
  | (Deno.UnixAddr & { transport: "unix" });

/** Returns an address that is known before a listener is bound to it. */
function throwawayAddr({ kind }: ListenAddress): ThrowawayAddr {
  if (kind === "unix") return { transport: "unix", path: `\0${crypto.randomUUID()}` };
  const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
  return { transport: "tcp", hostname: "127.0.0.1", port };
}

function serveAt(
  addr: ThrowawayAddr,
  { handler, onError, tls, options }: InheritedServing,
): Deno.HttpServer {
  const certificate = tls && { cert: tls.cert, key: tls.key };
  const common = {
    ...options,
    onError,
    onListen: () => {
      // The address would be the throw-away one.
    },
  };
  return addr.transport === "unix"
    ? runtimeFunctions.serve({ path: addr.path, ...common }, handler)
    : runtimeFunctions.serve({
      hostname: addr.hostname,
      port: addr.port,
      ...certificate,
      ...common,
    }, handler);
}

/** Calls back at the first read of a function's `length`. */
function whenLengthIsRead(
  handler: HttpHandler,
  { length, callback }: { readonly length: number; readonly callback: () => void },
): void {
  Object.defineProperty(handler, "length", {
    configurable: true,
    get() {
      Object.defineProperty(handler, "length", { value: length, configurable: true });
      callback();
      return length;
    },
  });
}

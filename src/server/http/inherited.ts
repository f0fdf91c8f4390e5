/**
 * Deno.serve on an inherited descriptor, in such a way that its handler is told what it would be told
 * by a server that has opened the address itself.
 *
 * The inherited socket is put in the place of a throw-away one, whose address the runtime would tell in
 * two places: a request without a Host gets its `url` from the address that the socket has when the
 * server starts, and `remoteAddr` on a unix socket is the path that was asked for. So the socket is put
 * in place before the server starts: between the two the runtime reads how many parameters the handler
 * has, which is a property like any other. The path is replaced afterwards.
 *
 * @module
 */
import { adoptInto } from "../../os/adopt/listener.ts";
import { type ListenAddress, listenAddressOf } from "../../os/net/socket.ts";
import type { HttpErrorHandler, HttpHandler, HttpTls } from "./handler.ts";

/** Ports that the kernel too would choose from, by its default. */
const FIRST_PORT = 32_768, PORTS = 28_232;

/** How often to try another port when one is in use. */
const MOST_PORTS = 20;

/** What {@linkcode serveInherited} needs beside the descriptor. */
export interface InheritedServing {
  /** What the descriptor is bound to. */
  readonly address: ListenAddress;
  readonly handler: HttpHandler;
  readonly onError: HttpErrorHandler;
  /** Certificate and key, for HTTP over TLS. */
  readonly tls?: HttpTls;
}

/**
 * Starts a server of the runtime.
 *
 * @param fd A listening socket. Borrowed: the server gets a duplicate.
 * @param serving What is served, and by what. The handler's `length` is changed for a moment.
 * @returns The server. Its own `addr` is the throw-away one, but for the path of a unix socket.
 * @throws {AdoptError} When the runtime registers listeners in a way that is not known here, or this
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
      // It is the very object that the runtime takes the path of `remoteAddr` from.
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

/** An address that is known before a listener is bound to it. */
function throwawayAddr({ kind }: ListenAddress): ThrowawayAddr {
  if (kind === "unix") return { transport: "unix", path: `\0${crypto.randomUUID()}` };
  const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
  return { transport: "tcp", hostname: "127.0.0.1", port };
}

function serveAt(
  addr: ThrowawayAddr,
  { handler, onError, tls }: InheritedServing,
): Deno.HttpServer {
  const identity = tls && { cert: tls.cert, key: tls.key };
  const common = {
    onError,
    onListen: () => {
      // The address would be the throw-away one.
    },
  };
  return addr.transport === "unix"
    ? Deno.serve({ path: addr.path, ...common }, handler)
    : Deno.serve({ hostname: addr.hostname, port: addr.port, ...identity, ...common }, handler);
}

/** Calls back at the first look at how many parameters a function has. */
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

/**
 * A listening handle for node servers in place of the runtime's own, which accepts without limit and stops
 * accepting for good when no descriptor is free. It calls accept(2) itself and passes each connection to
 * the server.
 *
 * node:net is loaded with the first connection: a program with a node server has loaded it by then.
 *
 * @module
 */
import type { Server, Socket, SocketConstructorOpts } from "node:net";
import { zerror } from "../../log/log.ts";
import { FdAcceptor } from "../backend/fd_accept.ts";
import { AcceptLoop, type AcceptLoopOptions } from "./accept_loop.ts";

/** The internal fields of a node server, checked before use. */
interface Inner {
  _handle?: unknown;
  _pipeName?: string;
  /** Listens with the current `_handle`. */
  readonly _listen2?: () => void;
}

/** The callback by which node receives a connection or an error. */
type OnConnection = (this: NodeHandle, error: number, client: unknown) => void;

/** The listener of {@linkcode listenByHandle}. */
export type HandleOptions = Omit<AcceptLoopOptions, "fd">;

/**
 * Makes a node server listen.
 *
 * @param server The server, which does not listen yet.
 * @param fd A listening socket, owned by the server unless the result is undefined.
 * @param options The listener.
 * @returns Ends the accepting without closing the server; undefined where this version of the runtime does
 * not support it, and for a node:http2 server.
 */
export function listenByHandle(
  server: Server,
  fd: number,
  options: HandleOptions,
): (() => void) | undefined {
  // The runtime's node:http2 may end the process when a client disconnects (seen in 2.9.6), and more often
  // so on connections that it received as descriptors.
  if (isHttp2(server)) return undefined;
  const inner = server as Server & Inner;
  if (typeof inner._listen2 !== "function" || inner._handle) {
    zerror(`Cannot accept for a server of node: its way to listen is unknown, expected "_listen2"`);
    return undefined;
  }
  const handle = inner._handle = new NodeHandle(server, fd, options);
  // The address of a server on a unix socket.
  if (options.address.kind === "unix") inner._pipeName = options.address.path;
  inner._listen2();
  return () => handle.close();
}

/** Whether a server is one of node:http2. */
export function isHttp2(server: Server): boolean {
  return "updateSettings" in server;
}

/** The handle of one server, with the methods that node calls. */
class NodeHandle {
  /** Set by node before it listens. */
  onconnection?: OnConnection;
  /** Fills in the address for `server.address()`; missing for a unix socket, as in node's own handle. */
  readonly getsockname?: (name: object) => number;
  readonly #server: Server;
  readonly #loop: AcceptLoop<unknown>;
  /** Node's class of connections, once it accepts. */
  #socketClass?: typeof Socket;

  constructor(server: Server, fd: number, options: HandleOptions) {
    this.#server = server;
    const acceptor = new FdAcceptor(fd, (accepted) => clientHandle(accepted, this.#socketClass!));
    this.#loop = new AcceptLoop(acceptor, { ...options, fd });
    const { address } = options;
    if (address.kind === "inet") {
      const { hostname, port } = address;
      const name = { address: hostname, port, family: hostname.includes(":") ? "IPv6" : "IPv4" };
      this.getsockname = (into) => {
        Object.assign(into, name);
        return 0;
      };
    }
  }

  /** Does nothing: the socket listens already. Servers expect the event before the first connection. */
  listen(): number {
    this.#server.once("listening", () => this.#serve());
    return 0;
  }

  /** Stops accepting. */
  close(): void {
    this.#loop.stop();
  }

  /** Does nothing: the poller keeps the process running in any case. */
  ref(): void {}

  /** See {@linkcode ref}. */
  unref(): void {}

  async #serve(): Promise<void> {
    this.#socketClass = (await import("node:net")).Socket;
    for (;;) {
      const client = await this.#loop.next();
      if (client === undefined) return;
      // An error thrown by a listener of the server is an uncaught error, as with node's own handle.
      queueMicrotask(() => this.onconnection?.(0, client));
    }
  }
}

/** Creates the handle of a connection, of node's class for its kind, on which a socket is built. */
function clientHandle(fd: number, SocketClass: typeof Socket): unknown {
  const options: SocketConstructorOpts & { manualStart: boolean } = { fd, manualStart: true };
  const socket = new SocketClass(options) as Socket & Inner;
  const client = socket._handle;
  socket._handle = null;
  return client;
}

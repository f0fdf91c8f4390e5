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
import { systemClock } from "../../os/clock/clock.ts";
import { closeFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN, type Watch } from "../../os/fd/poller.ts";
import { acceptFd, type ListenAddress } from "../../os/net/socket.ts";
import { reserveDescriptor } from "../../os/fd/reserve_fd.ts";
import type { RejectPendingOptions } from "../../os/net/reject_pending.ts";
import { concernsConnection } from "./accept_errors.ts";
import { type AcceptCounts, countAccepts } from "./accept_counts.ts";
import { AcceptPace } from "./accept_pace.ts";
import { serverPoller } from "../lifecycle/poller.ts";
import { FdExhaustion } from "./fd_exhaustion.ts";

/** The number of connections to accept before other work gets a turn. */
const MOST_IN_ONE_GO = 64;

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
export interface HandleOptions {
  readonly address: ListenAddress;
  /** Whether other processes accept on the same socket. */
  readonly shared: boolean;
  /** The answer to connections that are rejected for lack of descriptors; default none. */
  readonly answer?: RejectPendingOptions["answer"];
}

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
  if (typeof inner._listen2 !== "function" || inner._handle) return undefined;
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
  readonly #fd: number;
  readonly #counts: AcceptCounts;
  readonly #fdExhaustion: FdExhaustion;
  readonly #pace: AcceptPace | undefined;
  readonly #watch: Watch;
  readonly #releaseReserve = reserveDescriptor.hold();
  /** Set while the next connection is awaited. */
  #wake?: () => void;
  #closed = false;

  constructor(server: Server, fd: number, { address, shared, answer }: HandleOptions) {
    setNonblocking(fd);
    this.#server = server;
    this.#fd = fd;
    this.#counts = countAccepts(address);
    this.#fdExhaustion = new FdExhaustion(this.#counts, { fd, answer });
    if (shared) this.#pace = new AcceptPace();
    this.#watch = serverPoller.watch(fd, 0, () => this.#awaken());
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
    if (this.#closed) return;
    this.#closed = true;
    this.#fdExhaustion.stop();
    this.#counts.log();
    this.#releaseReserve();
    this.#watch.stop();
    closeFd(this.#fd);
    this.#awaken();
  }

  /** Does nothing: the watching thread keeps the process running in any case. */
  ref(): void {}

  /** See {@linkcode ref}. */
  unref(): void {}

  #awaken(): void {
    if (!this.#closed) this.#watch.modify(0);
    this.#wake?.();
    this.#wake = undefined;
  }

  async #serve(): Promise<void> {
    const { Socket } = await import("node:net");
    for (let inOneGo = 0; !this.#closed;) {
      try {
        const fd = acceptFd(this.#fd);
        if (fd === undefined) await this.#readable();
        else {
          this.#counts.accepted!++;
          this.#pace?.accepted();
          this.#handOver(fd, Socket);
          if (++inOneGo % MOST_IN_ONE_GO === 0) await nextTurn();
          await this.#pace?.pause();
        }
      } catch (error) {
        this.#counts.errors++;
        if (!concernsConnection(error as Error)) await this.#fdExhaustion.pause(error as Error);
      }
    }
  }

  #readable(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#watch.modify(EPOLLIN);
    });
  }

  #handOver(fd: number, SocketClass: typeof Socket): void {
    const client = clientHandle(fd, SocketClass);
    // An error thrown by a listener of the server is an uncaught error, as with node's own handle.
    queueMicrotask(() => this.onconnection?.(0, client));
  }
}

/** Creates the handle of a connection, of node's class for its kind, on which a socket is built. */
function clientHandle(fd: number, SocketClass: typeof Socket): unknown {
  const options: SocketConstructorOpts & { manualStart: boolean } = { fd, manualStart: true };
  let socket: Socket & Inner;
  try {
    socket = new SocketClass(options) as Socket & Inner;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  const client = socket._handle;
  socket._handle = null;
  return client;
}

/** Gives other work a turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => systemClock.setTimer(0, resolve));
}

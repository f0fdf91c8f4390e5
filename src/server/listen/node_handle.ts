/**
 * What a server of node listens with in place of the runtime's own handle, which accepts all that come
 * and ends its accepting for good at the first lack of descriptors, on a unix socket beyond repair.
 * This one accepts by itself, and lets the server do the rest as with any other connection.
 *
 * node:net is loaded only with the first connection: whoever has a server of node has it by then.
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

/** How many connections to accept before everybody else has a turn. */
const MOST_IN_ONE_GO = 64;

/** What node keeps to itself of a server: checked before it is used. */
interface Inner {
  _handle?: unknown;
  _pipeName?: string;
  /** Listens with the `_handle` that is there. */
  readonly _listen2?: () => void;
}

/** How node is given a connection, or an error. */
type OnConnection = (this: NodeHandle, error: number, client: unknown) => void;

/** What {@linkcode listenByHandle} has to know of a listener. */
export interface HandleOptions {
  readonly address: ListenAddress;
  /** Whether other processes accept on it, too. */
  readonly shared: boolean;
  /** What to tell clients that find no descriptor free; default nothing. */
  readonly answer?: RejectPendingOptions["answer"];
}

/**
 * Lets a server of node listen.
 *
 * @param server The server, which does not listen yet.
 * @param fd A listening socket, which the server takes ownership of, unless this returns undefined.
 * @param options The listener.
 * @returns Ends the accepting, without closing the server; undefined where this version of the runtime
 * lets no server listen so, and for a server of node:http2.
 */
export function listenByHandle(
  server: Server,
  fd: number,
  options: HandleOptions,
): (() => void) | undefined {
  // The runtime's node:http2 may end the process when a client has left (seen in 2.9.6), and does so far
  // more often on connections that it was given as descriptors.
  if (isHttp2(server)) return undefined;
  const inner = server as Server & Inner;
  if (typeof inner._listen2 !== "function" || inner._handle) return undefined;
  const handle = inner._handle = new NodeHandle(server, fd, options);
  // The address of a server on a unix socket.
  if (options.address.kind === "unix") inner._pipeName = options.address.path;
  inner._listen2();
  return () => handle.close();
}

/**
 * Whether a server is one of node:http2.
 *
 * @param server The server.
 */
export function isHttp2(server: Server): boolean {
  return "updateSettings" in server;
}

/** The handle of one server, with the methods that node calls. */
class NodeHandle {
  /** Set by node before it listens. */
  onconnection?: OnConnection;
  /** The address, as `server.address()` has it; missing for a unix socket, as with node's own. */
  readonly getsockname?: (name: object) => number;
  readonly #server: Server;
  readonly #fd: number;
  readonly #counts: AcceptCounts;
  readonly #fdExhaustion: FdExhaustion;
  readonly #pace: AcceptPace | undefined;
  readonly #watch: Watch;
  readonly #releaseReserve = reserveDescriptor.hold();
  /** Set while the next connection is waited for. */
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

  /** The socket listens already. Those of a server expect its event before the first connection. */
  listen(): number {
    this.#server.once("listening", () => this.#serve());
    return 0;
  }

  /** Accepts no more. */
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

  /** The thread that watches keeps the process running in any case. */
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
    // What a listener of the server throws is an uncaught error, as with node's own handle.
    queueMicrotask(() => this.onconnection?.(0, client));
  }
}

/** The handle of a connection, of the class that node has for its kind: a socket is made for it. */
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

/** Lets everybody else have a turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => systemClock.setTimer(0, resolve));
}

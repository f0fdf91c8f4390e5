/**
 * Listening descriptors as a server gets them from its master, and listeners over them.
 *
 * @module
 */
import {
  connectedAt,
  describeListener,
  type FdType,
  type ListenAddress,
} from "../../src/os/net/socket.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { FdAcceptor } from "../../src/server/backend/fd_accept.ts";
import { type ConnEnds, fdConn } from "../../src/server/backend/fd_conn.ts";
import { acceptedConn } from "../../src/server/backend/node_conn.ts";
import { listenNode } from "../../src/server/backend/node_net.ts";
import { UNNAMED_PEER } from "../../src/server/backend/streamed_conn.ts";
import {
  openServiceListener,
  runtimeAddr,
  ServiceListener,
} from "../../src/server/listen/service_listener.ts";
import { TempDir } from "../support/temp.ts";

/** A listening descriptor and how to connect to it. */
export interface ServiceSocket {
  readonly fd: number;
  readonly fdType: Exclude<FdType, "fifo">;
  /** Where it listens. */
  readonly addr: Deno.NetAddr | Deno.UnixAddr;
}

/** Opens a port of 127.0.0.1 that the system chooses, or of another host. */
export function inetSocket(hostname = "127.0.0.1"): ServiceSocket & { readonly port: number } {
  const { fd } = openListener({ kind: "inet", hostname, port: 0 });
  const { port } = describeListener(fd) as ListenAddress & { kind: "inet" };
  return { fd, fdType: "inet", port, addr: { transport: "tcp", hostname, port } };
}

/**
 * Opens a unix socket.
 *
 * @param path Where.
 */
export function unixSocket(path: string): ServiceSocket {
  return {
    fd: openListener({ kind: "unix", path }).fd,
    fdType: "unix",
    addr: { transport: "unix", path },
  };
}

/** Connects to a service. */
export function connectTo({ addr }: Pick<ServiceSocket, "addr">): Promise<Deno.Conn> {
  return "path" in addr
    ? Deno.connect({ transport: "unix", path: addr.path })
    : Deno.connect({ hostname: addr.hostname, port: addr.port });
}

/** The ways in which a server comes to its connections. */
export const LISTENER_KINDS = [
  "inet",
  "unix",
  "inet by node:net",
  "unix by node:net",
  "inet by descriptor",
  "unix by descriptor",
  "inet by poller",
  "unix by poller",
] as const;

/** A listener with what a client needs. Declare it with `using`. */
export interface TestListener extends Disposable {
  readonly listener: ServiceListener;
  readonly socket: ServiceSocket;
}

/**
 * Makes a listener.
 *
 * @param kind How.
 */
export function testListener(kind: typeof LISTENER_KINDS[number]): TestListener {
  const dir = new TempDir();
  const [fdType, fallback] = kind.split(" by ");
  const socket = fdType === "inet" ? inetSocket() : unixSocket(dir.file("socket"));
  const { fd, addr } = socket;
  const accepting = (wrap: (accepted: number) => Deno.Conn) =>
    new ServiceListener(new FdAcceptor(fd, wrap), addr, { fd });
  const openers: Record<string, () => ServiceListener> = {
    "node:net": () => new ServiceListener(listenNode(fd, addr), addr),
    descriptor: () => accepting((accepted) => acceptedConn(accepted, addr)),
    poller: () => accepting((accepted) => fdConn(accepted, endsOf(accepted, addr))),
  };
  const listener = fallback === undefined
    ? openServiceListener(fd, socket.fdType)
    : openers[fallback]!();
  return {
    listener,
    socket,
    [Symbol.dispose]() {
      listener.close();
      dir[Symbol.dispose]();
    },
  };
}

/** The ends of an accepted connection. */
export function endsOf(accepted: number, localAddr: Deno.Addr): ConnEnds {
  const peer = connectedAt(accepted)?.peer;
  const remoteAddr = peer?.kind === "inet" ? runtimeAddr(peer) : UNNAMED_PEER;
  return { localAddr, remoteAddr };
}

/**
 * Makes node:net open what it keeps open for good, before descriptors are counted.
 */
export async function warmUpNodeNet(): Promise<void> {
  using open = testListener("inet by node:net");
  const connected = connectTo(open.socket);
  (await open.listener.accept()).close();
  (await connected).close();
}

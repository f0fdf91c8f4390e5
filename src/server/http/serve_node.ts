/**
 * Servers of node:http, node:https and node:net on an inherited descriptor, including Express and Fastify.
 *
 * @module
 */
import type { Server, Socket } from "node:net";
import { zerror } from "../../log/log.ts";
import type { FdType, ListenAddress } from "../../os/net/socket.ts";
import { backend } from "../backend/chosen.ts";
import { keepAccepting } from "../backend/node_accepting.ts";
import { countAccepts } from "../listen/accept_counts.ts";
import { unavailable } from "./error_answers.ts";
import { closeServed } from "../listen/drain_queue.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { NodeConnections } from "./node_connections.ts";
import { isHttp2, listenByHandle } from "../listen/node_handle.ts";
import { isShared } from "../listen/service_listener.ts";
import { FdExhaustion } from "../listen/fd_exhaustion.ts";
import { serverUsage } from "../lifecycle/usage.ts";

/**
 * Makes a node server listen on a descriptor of `serviceRegister` until the server is told to stop. It
 * then stops accepting, responds with `Connection: close`, and closes connections that have been idle for
 * a second; a draining server waits for its last connection. HTTP/2 clients receive GOAWAY. Connections
 * that are open near the time limit are closed in order: WebSockets get a close frame (1001), and event
 * streams (`text/event-stream`) end.
 *
 * Without a free descriptor, pending connections are rejected: with 503 by a server of node:http, by any
 * other with a close. Without `--allow-ffi` they wait until a descriptor is free.
 *
 * Needs no permission.
 *
 * @param fd The descriptor, owned by the service from now on.
 * @param fdType The type that `serviceRegister` received; not `fifo`.
 * @param server The server, which does not listen yet: the result of `createServer` of node:http, node:https
 * or node:net, such as `createServer(app)` with an Express `app`, or Fastify's `server` after `ready()`.
 * @throws {TypeError} For a fifo, or when `fd` is no listening socket.
 *
 * @example
 * ```ts
 * import { createServer } from "node:http";
 * import { aioServerMain, serveNode } from "@zc/master/aio-server";
 *
 * if (import.meta.main) {
 *   Deno.exit(
 *     await aioServerMain({
 *       serviceRegister(_service, fd, fdType) {
 *         serveNode(fd, fdType, createServer((_request, answer) => answer.end("hello\n")));
 *       },
 *     }),
 *   );
 * }
 * ```
 */
export function serveNode(fd: number, fdType: FdType, server: Server): void {
  openNodeServer(fd, fdType, server);
}

/**
 * Makes a node server listen as {@linkcode serveNode}.
 *
 * @returns Stops accepting, and closes the server after its last connection. A second call does nothing.
 * @throws {TypeError} As {@linkcode serveNode}.
 */
export function openNodeServer(fd: number, fdType: FdType, server: Server): () => void {
  if (fdType === "fifo") {
    throw new TypeError(`Cannot serve descriptor ${fd}: a fifo, expected "inet" or "unix"`);
  }
  // Throws now for a descriptor that can't be served.
  const address = backend().addressOf(fd);
  const connections = speaksHttp(server) ? new NodeConnections(server) : undefined;
  server.on("error", (error: Error) => zerror(`error of the server on descriptor ${fd}:`, error));
  server.on("connection", (socket: Socket) => {
    socket.once("close", serverUsage.accepted({ tellsEnd: true }));
  });
  const acceptNoMore = listen(server, fd, address);
  // The program may have another one later.
  const close = server.close.bind(server);
  let isStopping = false;
  const stop = async () => {
    if (isStopping) return;
    isStopping = true;
    const finished = serverLifecycle.activity.begin({ standing: true });
    acceptNoMore();
    await connections?.drain();
    close(finished);
  };
  const forget = serverLifecycle.onStopAccepting((last) => closeServed(stop, { last, fd }), fd);
  return () => {
    forget();
    stop();
  };
}

/** Whether it is a server of node:http or node:https, which have this method. */
function speaksHttp(server: Server): boolean {
  return "closeIdleConnections" in server || isHttp2(server);
}

/** Makes a server listen in the best available way; the result ends the accepting without closing it. */
function listen(server: Server, fd: number, address: ListenAddress): () => void {
  const speaksPlainHttp = "closeIdleConnections" in server && !("setSecureContext" in server);
  const answer = speaksPlainHttp ? unavailable : undefined;
  return backend().serveNode({
    native: () => listenByHandle(server, fd, { address, answer, shared: isShared(address) }),
    node: () => listenByNode(server, fd, address),
  });
}

function listenByNode(server: Server, fd: number, address: ListenAddress): () => void {
  const counts = countAccepts(address), fdExhaustion = new FdExhaustion(counts);
  server.on("connection", () => counts.accepted!++);
  server.listen({ fd });
  return keepAccepting(server, (error) => {
    counts.errors++;
    fdExhaustion.pause(error);
  });
}

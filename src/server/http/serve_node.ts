/**
 * Servers of node:http, node:https and node:net on an inherited descriptor, Express and Fastify among
 * them: they get their connections from there, and are told when to stop.
 *
 * @module
 */
import type { Server, Socket } from "node:net";
import { zinfo } from "../../log/log.ts";
import { mayUseFfi } from "../../os/ffi/permissions.ts";
import type { FdType, ListenAddress } from "../../os/net/socket.ts";
import { countAccepts } from "../listen/accept_counts.ts";
import { unavailable } from "./unavailable.ts";
import { closeServed } from "../listen/drain_queue.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { keepAccepting } from "../listen/node_accepting.ts";
import { NodeConnections } from "./node_connections.ts";
import { isHttp2, listenByHandle } from "../listen/node_handle.ts";
import { serviceAddress } from "../listen/service_address.ts";
import { isShared } from "../listen/service_listener.ts";
import { FdExhaustion } from "../listen/fd_exhaustion.ts";
import { serverUsage } from "../lifecycle/usage.ts";

/**
 * Lets a server of node listen on a descriptor of `serviceRegister`, until the server is told to stop.
 * It then accepts no more, answers with `Connection: close`, and closes what has been idle for a
 * second; a server that drains waits for its last connection. Clients of HTTP/2 are told to go
 * (GOAWAY). What is still open when the time is over is closed in good order: WebSockets get a close frame
 * (1001), and streams of events (`text/event-stream`) end.
 *
 * A client that finds no descriptor free is turned away: with 503 by a server of node:http, else with
 * the end of its connection. Without `--allow-ffi` it waits until there is one.
 *
 * Needs no permission.
 *
 * @param fd The descriptor; it is the service's from now on.
 * @param fdType What `serviceRegister` was told; not `fifo`.
 * @param server The server, which does not listen yet: what `createServer` of node:http, node:https
 * or node:net returns, such as `createServer(app)` with an `app` of Express, or the `server` of Fastify
 * after `ready()`.
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
  if (fdType === "fifo") {
    throw new TypeError(`Cannot serve descriptor ${fd}: a fifo, expected "inet" or "unix"`);
  }
  // One that it can't serve is told of now.
  const address = serviceAddress(fd);
  const connections = speaksHttp(server) ? new NodeConnections(server) : undefined;
  server.on("error", (error: Error) => zinfo(`error of the server on descriptor ${fd}:`, error));
  server.on("connection", (socket: Socket) => {
    socket.once("close", serverUsage.accepted({ tellsEnd: true }));
  });
  const acceptNoMore = listen(server, fd, address);
  const stop = async () => {
    const finished = serverLifecycle.activity.begin({ standing: true });
    acceptNoMore();
    await connections?.drain();
    server.close(finished);
  };
  serverLifecycle.onStopAccepting((last) => closeServed(stop, { last, fd }), fd);
}

/** Servers of node:http and node:https have this method. */
function speaksHttp(server: Server): boolean {
  return "closeIdleConnections" in server || isHttp2(server);
}

/**
 * Lets a server listen in the best way that there is.
 *
 * @returns Ends the accepting; the server is not closed by it.
 */
function listen(server: Server, fd: number, address: ListenAddress): () => void {
  if (mayUseFfi()) {
    const speaksPlainHttp = "closeIdleConnections" in server && !("setSecureContext" in server);
    const options = {
      address,
      shared: isShared(address),
      answer: speaksPlainHttp ? unavailable : undefined,
    };
    const acceptNoMore = listenByHandle(server, fd, options);
    if (acceptNoMore !== undefined) return acceptNoMore;
    if (!isHttp2(server)) {
      zinfo(
        `Cannot accept for a server of node: its way to listen is unknown, expected "_listen2"`,
      );
    }
  }
  const counts = countAccepts(address), fdExhaustion = new FdExhaustion(counts);
  server.on("connection", () => counts.accepted!++);
  server.listen({ fd });
  return keepAccepting(server, (error) => {
    counts.errors++;
    fdExhaustion.pause(error);
  });
}

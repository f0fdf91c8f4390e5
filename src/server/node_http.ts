/**
 * HTTP on an inherited descriptor by way of node:http, where the runtime's own server can't be put on
 * one: slower, without WebSockets, and with the same requests and answers.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { zdebug, zinfo } from "../log/log.ts";
import type { HttpServing, HttpTls } from "./http_serving.ts";
import { keepAccepting } from "./node_accepting.ts";
import { type AcceptCounts, countAccepts } from "./accept_counts.ts";
import { closeServed } from "./last_connections.ts";
import { serverLifecycle } from "./lifecycle.ts";
import { NodeConnections } from "./node_connections.ts";
import { NodeExchange } from "./node_http_exchange.ts";
import { serviceAddress } from "./service_address.ts";
import { Shortage } from "./shortage.ts";
import { serverUsage } from "./usage.ts";

const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

/**
 * Serves HTTP until the server is told to stop: then it accepts no more, finishes what is under way,
 * and answers with `Connection: close` until a second has passed without a request.
 */
export class NodeHttpService {
  readonly #server: Server;
  readonly #serving: HttpServing;
  readonly #counts: AcceptCounts;
  readonly #shortage: Shortage;
  readonly #finished: () => void;
  readonly #connections: NodeConnections;
  readonly #acceptNoMore: () => void;
  #draining = false;

  /**
   * @param fd A listening socket, which the service takes ownership of.
   * @param serving What answers.
   * @param tls Certificate and key, for HTTP over TLS.
   */
  constructor(fd: number, serving: HttpServing, tls?: HttpTls) {
    this.#serving = serving;
    this.#counts = countAccepts(serviceAddress(fd));
    this.#shortage = new Shortage(this.#counts);
    this.#finished = serverLifecycle.activity.begin({ standing: true });
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response);
    };
    // As with the runtime's server, a request may take as long as it takes.
    const options = { requestTimeout: 0 };
    this.#server = tls === undefined
      ? createServer(options, answer)
      : createTlsServer({ ...options, ...tls }, answer);
    this.#connections = new NodeConnections(this.#server);
    this.#server.on("connection", (socket: Socket) => {
      this.#counts.accepted!++;
      socket.once("close", serverUsage.accepted({ tellsEnd: true }));
    });
    const onError = (error: Error) => {
      this.#counts.errors++;
      this.#shortage.pause(error);
    };
    this.#server.on("error", onError);
    this.#server.on("clientError", (error, socket) => {
      zdebug("a client broke the protocol:", error);
      if (socket.writable) socket.end(BAD_REQUEST);
      else socket.destroy();
    });
    this.#server.listen({ fd });
    this.#acceptNoMore = keepAccepting(this.#server, onError);
    serverLifecycle.onStopAccepting(
      (last) => closeServed(() => this.#stop(), { last, fd }),
      fd,
    );
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const exchange = new NodeExchange(request, response);
      const answer = await exchange.ask(this.#serving);
      if (this.#draining) response.setHeader("connection", "close");
      await exchange.send(answer);
    } catch (error) {
      zinfo("error while answering a request:", error);
      response.destroy();
    }
  }

  async #stop(): Promise<void> {
    this.#draining = true;
    this.#acceptNoMore();
    this.#counts.log();
    this.#shortage.stop();
    await this.#connections.drain();
    this.#server.close();
    this.#finished();
  }
}

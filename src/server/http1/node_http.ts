/**
 * HTTP on an inherited descriptor where the runtime's own server can't use it: slower, over HTTP/1 only,
 * without WebSockets, and with the same requests and responses. docs/design/23_without_ffi.md says why it
 * does not use node:http.
 *
 * @module
 */
import { zdebug, zerror } from "../../log/log.ts";
import { backend } from "../backend/chosen.ts";
import { nodeServerTls } from "../backend/node_tls.ts";
import { Http1Connection } from "./connection.ts";
import type { Http1Service } from "./exchange.ts";
import type { HttpService, HttpServing, HttpTls } from "../http/handler.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { openServiceListener, type ServiceListener } from "../listen/service_listener.ts";
import { EventStreams } from "../http/streamed_answers.ts";
import { closingGently, handshake } from "../tls/context.ts";

/** The default time limit of a TLS handshake, in seconds. */
const HANDSHAKE_SECONDS = 10;

const ALPN_PROTOCOLS = ["http/1.1"];

/**
 * Serves HTTP until the server is told to stop. Then it stops accepting, finishes the work under way, and
 * closes each connection after its last response, or when it is idle.
 */
export class NodeHttpService implements HttpService {
  readonly finished: Promise<void>;
  readonly #listener: ServiceListener;
  readonly #service: Http1Service;
  readonly #tls: HttpTls | undefined;
  /** The oldest first. */
  readonly #connections = new Set<Http1Connection>();
  readonly #mostConnections: number;
  readonly #events = new EventStreams();
  readonly #finished = Promise.withResolvers<void>();
  readonly #forgetStop: () => void;
  /** The loop that accepts, and the connections. */
  #open = 1;
  #isDraining = false;

  /**
   * @param fd A listening socket, owned by the service.
   * @param serving The handlers.
   * @param tls Certificate and key, for HTTP over TLS.
   */
  constructor(fd: number, serving: HttpServing, tls?: HttpTls) {
    const address = backend().addressOf(fd);
    this.#tls = tls;
    this.#mostConnections = serving.mostConnections ?? Infinity;
    this.#service = {
      ...serving,
      place: { address, isTls: tls !== undefined },
      events: this.#events,
    };
    this.#listener = openServiceListener(fd, address.kind);
    serverLifecycle.countOpen(() => ({ eventStreams: this.#events.count }));
    this.finished = this.#finished.promise;
    this.#forgetStop = serverLifecycle.onStopAccepting(() => this.#drain());
    serving.options?.signal?.addEventListener("abort", () => this.#abort(), { once: true });
    this.#accept().catch((error) => zerror("error while accepting:", error))
      .finally(() => this.#closed());
  }

  stop(): void {
    this.#forgetStop();
    this.#listener.close();
    this.#drain();
  }

  #abort(): void {
    this.stop();
    for (const connection of this.#connections) connection.close();
  }

  #closed(): void {
    if (--this.#open === 0) this.#finished.resolve();
  }

  async #accept(): Promise<void> {
    for (let conn; (conn = await this.#listener.next()) !== undefined;) this.#serve(conn);
  }

  async #serve(plain: Deno.Conn): Promise<void> {
    const finished = serverLifecycle.activity.begin();
    this.#open++;
    // A response that is written in pieces must not wait for the acknowledgement of the first one.
    if ("setNoDelay" in plain) (plain as Deno.TcpConn).setNoDelay();
    try {
      const conn = this.#tls === undefined ? plain : await shakenHands(plain, this.#tls);
      await this.#serveHttp(conn);
    } catch (error) {
      zdebug("a client has gone before its first request:", error);
    } finally {
      finished();
      this.#closed();
    }
  }

  async #serveHttp(conn: Deno.Conn): Promise<void> {
    const connection = new Http1Connection(conn, this.#service);
    if (this.#connections.size >= this.#mostConnections) this.#closeOldest();
    this.#connections.add(connection);
    if (this.#isDraining) connection.drain();
    await connection.serve();
    this.#connections.delete(connection);
  }

  /** Makes room for a client: one that sends no request, or takes no response, must not keep others out. */
  #closeOldest(): void {
    const [first] = this.#connections;
    const oldest = this.#connections.values().find(({ isWaiting }) => isWaiting) ?? first;
    this.#connections.delete(oldest);
    oldest.close();
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (const connection of this.#connections) connection.drain();
    serverLifecycle.onEnding(() => this.#events.endAll());
  }
}

/** Starts TLS on a connection, and waits for the handshake. */
async function shakenHands(
  conn: Deno.Conn,
  { cert, key, handshakeSeconds = HANDSHAKE_SECONDS }: HttpTls,
): Promise<Deno.TlsConn> {
  const certificate = { cert, key, alpnProtocols: ALPN_PROTOCOLS };
  const secure = closingGently(nodeServerTls(conn, certificate));
  await handshake(secure, handshakeSeconds);
  return secure;
}

/**
 * A listener over an inherited descriptor by node:net, for servers that can't make system calls. It is
 * slower to load and to run than a native one, accepts without limit, and has to be restarted after FD
 * exhaustion. `fd_accept.ts` is better wherever it works.
 *
 * @module
 */
import { createServer, type Server } from "node:net";
import type { AcceptSource } from "./backend.ts";
import { keepAccepting } from "./node_accepting.ts";
import { nodeConn } from "./node_conn.ts";

/**
 * Listens on an inherited descriptor.
 *
 * @param fd A listening socket, owned by the listener.
 * @param addr Its address: node:net does not know the path of a socket that it did not bind.
 * @returns The listener, once it listens.
 */
export function listenNode(fd: number, addr: Deno.Addr): Promise<AcceptSource> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const { promise, resolve, reject } = Promise.withResolvers<AcceptSource>();
  server.once("error", reject);
  server.listen({ fd }, () => {
    server.off("error", reject);
    resolve(new NodeListener(server, addr));
  });
  return promise;
}

class NodeListener implements AcceptSource {
  readonly #server: Server;
  readonly #accepted: Deno.Conn[] = [];
  /** The first error of FD exhaustion that is not reported yet; one is enough. */
  #failed?: Error;
  #waiting?: PromiseWithResolvers<Deno.Conn>;
  #closed = false;
  readonly #letGo: () => void;

  constructor(server: Server, addr: Deno.Addr) {
    this.#server = server;
    const onError = (error: Error) => {
      this.#failed = error;
      this.#deliver();
    };
    this.#letGo = keepAccepting(server, onError);
    server.on("connection", (socket) => {
      this.#accepted.push(nodeConn(socket, addr));
      this.#deliver();
    });
    server.on("error", onError);
  }

  async accept(): Promise<Deno.Conn> {
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#deliver();
    return await promise;
  }

  /** Runs after close too: node:net accepts on its own, and accepted connections must be served. */
  #deliver(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const conn = this.#accepted.shift();
    if (conn !== undefined) {
      waiting.resolve(conn);
    } else if (this.#closed) {
      waiting.reject(new Deno.errors.BadResource("Listener has been closed"));
    } else if (this.#failed !== undefined) {
      waiting.reject(this.#failed);
      this.#failed = undefined;
    } else return;
    this.#waiting = undefined;
  }

  close(): void {
    this.#closed = true;
    this.#letGo();
    this.#server.close();
    this.#deliver();
  }

  ref(): void {
    this.#server.ref();
  }

  unref(): void {
    this.#server.unref();
  }
}

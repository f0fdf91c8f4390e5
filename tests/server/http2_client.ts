/**
 * A client of HTTP/2 for tests: node's own, in a process of node. The runtime's node:http2 is of no use here, since a
 * GOAWAY at a bad moment ends the whole process that uses it.
 *
 * @module
 */
import { TestProcess } from "../support/processes.ts";
import { TEST_CERT } from "../support/tls.ts";
import { within } from "../support/wait.ts";

const PEER = new URL("../peers/http2_client.mjs", import.meta.url).pathname;

/** How long a connection may have nothing to tell: longer than any test takes. */
const QUIET_MS = 10 * 60_000;

/** A request was not sent: the connection takes no more. */
export class Http2Closed extends Error {
  override readonly name = "Http2Closed";
}

/** What the process of node tells. */
type Told =
  | { readonly event: "connected"; readonly alpn: string }
  | { readonly event: "goaway" | "closed" }
  | { readonly id: number; readonly text: string }
  | { readonly id: number; readonly error: string }
  | { readonly id: number; readonly isClosed: true };

/** What to ask for. */
export interface Http2Request {
  /** The header fields beside those of the protocol. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** One connection that speaks HTTP/2, to a server with the test certificate. Declare it with `await using`. */
export class Http2Client implements AsyncDisposable {
  readonly #process: TestProcess;
  readonly #connected = Promise.withResolvers<string>();
  readonly #goaway = Promise.withResolvers<void>();
  readonly #asked = new Map<number, PromiseWithResolvers<string>>();
  #nextId = 1;
  #isOver = false;

  private constructor(url: string) {
    this.#process = new TestProcess(["node", PEER, JSON.stringify({ url, ca: TEST_CERT })]);
    // Not every test waits for both.
    for (const { promise } of [this.#connected, this.#goaway]) promise.catch(() => {});
    this.#follow();
  }

  /**
   * Connects.
   *
   * @param port Where the server listens.
   * @param options `tls`: whether it speaks TLS, by default it does.
   */
  static async connect(
    port: number,
    { tls = true }: { readonly tls?: boolean } = {},
  ): Promise<Http2Client> {
    const client = new Http2Client(tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`);
    await client.protocol;
    return client;
  }

  /** What was agreed on at the handshake. */
  get protocol(): Promise<string> {
    return within(this.#connected.promise, { what: "HTTP/2" });
  }

  /** Fulfilled when the server has asked the client to leave. */
  get goaway(): Promise<void> {
    return within(this.#goaway.promise, { what: "GOAWAY" });
  }

  /**
   * Asks for a path.
   *
   * @param path The path.
   * @param request More of the request.
   * @returns The body of the answer.
   * @throws {Http2Closed} When the connection takes no more requests.
   */
  ask(path: string, { headers }: Http2Request = {}): Promise<string> {
    return this.#send({ path, method: "GET", headers }).answer;
  }

  /**
   * Sends a part of an upload.
   *
   * @param path The path.
   * @param length How many bytes.
   * @returns Sends as many again, and waits for the answer.
   */
  upload(path: string, length: number): () => Promise<string> {
    const { id, answer } = this.#send({ path, method: "POST", length, leaveOpen: true });
    return async () => {
      await this.#process.write(`${JSON.stringify({ id, length })}\n`);
      return await answer;
    };
  }

  /**
   * Asks for a path again and again, as long as the connection takes requests.
   *
   * @param path The path.
   * @param count Counts the answers and the failures.
   * @param request More of the request.
   */
  async askOn(
    path: string,
    count: { answered: number; failed: number },
    request: Http2Request = {},
  ): Promise<void> {
    for (;;) {
      try {
        await this.ask(path, request);
        count.answered++;
      } catch (error) {
        if (error instanceof Http2Closed) return;
        count.failed++;
      }
    }
  }

  /** Ends the process; requests under way are dropped. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#process[Symbol.asyncDispose]();
  }

  #send(request: Readonly<Record<string, unknown>>): { id: number; answer: Promise<string> } {
    const id = this.#nextId++, asked = Promise.withResolvers<string>();
    this.#asked.set(id, asked);
    this.#process.write(`${JSON.stringify({ id, ...request })}\n`).catch(asked.reject);
    const answer = within(asked.promise, { what: `an answer to ${request.path}` });
    // It may fail before anybody waits for it.
    answer.catch(() => {});
    return { id, answer };
  }

  async #follow(): Promise<void> {
    try {
      for (;;) this.#take(JSON.parse((await this.#process.prints(/(.*)\n/, QUIET_MS))[1]));
    } catch (error) {
      if (this.#isOver) return;
      for (const { reject } of [...this.#asked.values(), this.#connected, this.#goaway]) {
        reject(error);
      }
    }
  }

  #take(told: Told): void {
    if ("event" in told) {
      if (told.event === "connected") this.#connected.resolve(told.alpn);
      if (told.event === "goaway") this.#goaway.resolve();
      return;
    }
    const asked = this.#asked.get(told.id);
    this.#asked.delete(told.id);
    if ("text" in told) asked?.resolve(told.text);
    else if ("error" in told) asked?.reject(new Error(`no answer: ${told.error}`));
    else asked?.reject(new Http2Closed("no request is taken any more"));
  }
}

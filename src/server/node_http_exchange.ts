/**
 * One request and its answer, between the types of the web and those of node:http.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { HttpServing } from "./http_serving.ts";

/** Methods whose requests have no body for the web's types. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** Header fields that say how the bytes travel, which is the business of node:http. */
const FRAMING: ReadonlySet<string> = new Set(["transfer-encoding", "keep-alive", "upgrade"]);

/** A request that is to be answered. */
export class NodeExchange {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #aborted = new AbortController();
  readonly #completed = Promise.withResolvers<void>();

  /**
   * @param incoming The request.
   * @param outgoing Its answer, still empty.
   */
  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    // Nobody need ask for it.
    this.#completed.promise.catch(() => {});
    outgoing.once("close", () => {
      if (outgoing.writableFinished) return this.#completed.resolve();
      const gone = new DOMException("The client has gone", "AbortError");
      this.#completed.reject(gone);
      this.#aborted.abort(gone);
    });
    // An error shows at the end of the connection; without a listener it would end the process.
    outgoing.on("error", () => {});
    incoming.on("error", () => {});
  }

  /**
   * Has the request answered.
   *
   * @param serving What answers, also in place of a handler that has thrown.
   */
  async ask({ handler, onError }: HttpServing): Promise<Response> {
    let request: Request;
    try {
      request = this.#request();
    } catch {
      // A host or a method for which the web has no request.
      return new Response("Bad Request", { status: 400 });
    }
    try {
      return await handler(request, {
        remoteAddr: remoteAddr(this.#incoming),
        completed: this.#completed.promise,
      });
    } catch (error) {
      return await onError(error);
    }
  }

  #request(): Request {
    const { method = "GET", rawHeaders } = this.#incoming;
    const headers = new Headers();
    for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i], rawHeaders[i + 1]);
    const hasBody = !WITHOUT_BODY.has(method) &&
      (headers.has("transfer-encoding") || Number(headers.get("content-length")) > 0);
    const body = hasBody ? bodyOf(this.#incoming) : undefined;
    return new Request(urlOf(this.#incoming), {
      method,
      headers,
      body,
      signal: this.#aborted.signal,
      redirect: "manual",
    });
  }

  /**
   * Sends the answer, as fast as the client takes it.
   *
   * @param response The answer.
   * @throws {Error} When its body fails; the connection should then be closed, so that the client
   * does not take the beginning for the whole.
   */
  async send(response: Response): Promise<void> {
    const outgoing = this.#outgoing;
    if (outgoing.destroyed) return await response.body?.cancel();
    if (response.bodyUsed) throw new TypeError("Cannot answer: the body has been used already");
    outgoing.statusCode = response.status;
    if (response.statusText !== "") outgoing.statusMessage = response.statusText;
    for (const [name, value] of response.headers) {
      if (name !== "set-cookie" && !FRAMING.has(name)) outgoing.setHeader(name, value);
    }
    const cookies = response.headers.getSetCookie();
    if (cookies.length > 0) outgoing.setHeader("set-cookie", cookies);
    if (response.body === null || this.#incoming.method === "HEAD") {
      await response.body?.cancel();
      outgoing.end();
    } else {
      await this.#sendBody(response.body.getReader());
    }
    // What the handler has not read, so that the connection can be used again.
    this.#incoming.resume();
  }

  async #sendBody(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const outgoing = this.#outgoing;
    const stop = () => reader.cancel(this.#aborted.signal.reason).catch(() => {});
    this.#aborted.signal.addEventListener("abort", stop);
    let { done, value } = await reader.read();
    while (!done) {
      const next = reader.read();
      // Only the end of the body, if it is there at once, makes its length known in time.
      const last = !outgoing.headersSent && (await settledSoon(next))?.done === true;
      if (last) break;
      if (!outgoing.write(value)) await this.#drained();
      ({ done, value } = await next);
    }
    if (!this.#aborted.signal.aborted) outgoing.end(value);
  }

  #drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#outgoing.once("drain", resolve);
    this.#outgoing.once("close", resolve);
    return promise.finally(() => {
      this.#outgoing.off("drain", resolve);
      this.#outgoing.off("close", resolve);
    });
  }
}

/** What a promise gives, unless it takes longer than a turn of the event loop. */
async function settledSoon<T>(promise: Promise<T>): Promise<T | undefined> {
  // Its error is for the one who waits for it in earnest.
  const settled = promise.catch(() => undefined);
  const turn = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
  return await Promise.race([settled, turn]);
}

function urlOf({ url = "/", headers, socket }: IncomingMessage): string {
  // Absolute in requests to a proxy (RFC 9112, section 3.2.2).
  if (/^https?:\/\//i.test(url)) return url;
  const { localAddress = "localhost", localPort } = socket;
  const address = localAddress.includes(":") ? `[${localAddress}]` : localAddress;
  const host = headers.host ?? (localPort === undefined ? address : `${address}:${localPort}`);
  return `http://${host}${url.startsWith("/") ? "" : "/"}${url}`;
}

function remoteAddr({ socket }: IncomingMessage): Deno.Addr {
  const { remoteAddress: hostname, remotePort: port } = socket;
  return hostname === undefined || port === undefined
    ? { transport: "unix", path: "" }
    : { transport: "tcp", hostname, port };
}

/** The body of a request, read as fast as the handler does. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  let isOver = false;
  const end = (act: () => void) => {
    if (!isOver) act();
    isOver = true;
  };
  return new ReadableStream({
    start(controller) {
      incoming.pause();
      incoming.on("data", (chunk: Uint8Array) => {
        if (isOver) return;
        controller.enqueue(new Uint8Array(chunk));
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
      });
      incoming.once("end", () => end(() => controller.close()));
      incoming.once("error", (error) => end(() => controller.error(error)));
      incoming.once("close", () => {
        end(() =>
          controller.error(new TypeError("The client has gone before the end of the body"))
        );
      });
    },
    pull() {
      incoming.resume();
    },
    cancel() {
      // The rest is read and dropped, so that the connection can be used again.
      isOver = true;
      incoming.resume();
    },
  });
}

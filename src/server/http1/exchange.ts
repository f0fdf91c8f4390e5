/**
 * An HTTP/1 request and its response: the information for the handler, and the rest of the body once it
 * has responded.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { delay, systemClock } from "../../os/clock/clock.ts";
import { BodyError, sendAnswer } from "./answer.ts";
import { BadRequest, type RequestHead } from "./head.ts";
import type { BodyInput, Http1Input } from "./input.ts";
import { HandlerInfo, type Http1Place, requestOf } from "./request.ts";
import { askHandler } from "../http/ask.ts";
import type { HttpServing } from "../http/handler.ts";
import { type EventStreams, isEventStream, isWhole } from "../http/streamed_answers.ts";

/** The number of bytes to read ahead, which detects that the client has disconnected. */
const MOST_AHEAD = 64 * 1024;

/** The longest unread rest of a body that is discarded to keep the connection. */
const MOST_DROPPED = 8 * 1024 * 1024;

/** The time a handler may take between two reads of the body after its response, and the test interval. */
const READING_MS = 1_000, LOOK_MS = 50;

/** Shared by all requests: creating it takes longer than most of a response. */
const CANCELLED = new DOMException("The request has been cancelled.", "AbortError");

/** The server's handlers and address. */
export interface Http1Service extends HttpServing {
  /** The address at which requests arrive. */
  readonly place: Http1Place;
  /** The event streams of all connections. */
  readonly events: EventStreams;
}

/** The connection, and the request received on it. */
export interface ExchangeParts {
  readonly conn: Pick<Deno.Conn, "write">;
  readonly input: Http1Input;
  readonly head: RequestHead;
  readonly body: BodyInput;
  /** The address of the client. */
  readonly remoteAddr: Deno.Addr;
}

/** One request and its response. */
export class Http1Exchange {
  readonly #parts: ExchangeParts;
  readonly #aborted = new AbortController();
  #isOver = false;
  /** The body, if it was not complete at the start. */
  #stream?: ReadableStream<Uint8Array<ArrayBuffer>>;
  #isReading = false;
  #readMs = 0;
  /** Whether the body has broken off, so that nothing more of it can be read. */
  #hasFailed = false;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  /**
   * Calls the handler and sends the response.
   *
   * @param service The server's handlers.
   * @param isLast Called when there is a response: whether it is the connection's last one.
   * @returns Whether the connection can be used again.
   * @throws {Error} When the client has disconnected, or the body of the response has failed.
   */
  async run(service: Http1Service, isLast: () => boolean): Promise<boolean> {
    const { conn, head, body, remoteAddr } = this.#parts;
    const { signal } = this.#aborted, { place } = service;
    const info = new HandlerInfo(remoteAddr);
    const request = requestOf({ head, place, body: this.#bodyInit(), signal });
    if (body.isDone) this.#watch();
    else body.onDone = () => this.#watch();
    const answer = await askHandler(service, request, info);
    const keepAlive = head.keepAlive && this.#canDropBody(answer) && !isLast();
    let isSent = false;
    try {
      const sent = endable(answer, service.events);
      const isKept = await sendAnswer(conn, sent, { head, keepAlive, signal });
      // A client that has ended its output before may have disconnected.
      isSent = !signal.aborted;
      this.#isOver = true;
      if (isKept) return await this.#dropBody();
      await this.#finishBody();
      return false;
    } catch (error) {
      if (error instanceof BodyError) await tell(service, error);
      throw error;
    } finally {
      this.#isOver = true;
      info.settle(isSent);
      // As the runtime does, whatever the response.
      this.#abort();
    }
  }

  #bodyInit(): BodyInit {
    const { body } = this.#parts;
    if (body.isDone) return new Uint8Array();
    return body.takeWhole() ?? (this.#stream = new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        this.#isReading = true;
        try {
          const piece = await body.next();
          // A copy: the stream detaches the memory, which holds later data too.
          if (piece !== undefined) controller.enqueue(piece.slice());
        } catch (cause) {
          this.#hasFailed = true;
          if (!(cause instanceof BadRequest)) throw cause;
          throw new Error("invalid HTTP/1 request: Invalid", { cause });
        } finally {
          this.#isReading = false;
          this.#readMs = systemClock.nowMs();
        }
        if (!body.isDone) return;
        controller.close();
        controller.byobRequest?.respond(0);
      },
    }, { highWaterMark: 0 }));
  }

  /**
   * Whether the rest of the body can be read and discarded to keep the connection: it has no reader, can't
   * become a stream any more, and is not too long.
   */
  #canDropBody(answer: Response): boolean {
    const { body } = this.#parts;
    if (body.isDone) return true;
    const isLeft = isWhole(answer) && !this.#isBeingRead() && !this.#hasFailed;
    return isLeft && body.left <= MOST_DROPPED;
  }

  /** Discards the body, and returns whether it has ended. */
  async #dropBody(): Promise<boolean> {
    const { body, input } = this.#parts;
    for (let dropped = 0; !body.isDone && dropped <= MOST_DROPPED;) {
      dropped += body.skip();
      if (!body.isDone && !await input.fill()) return false;
    }
    return body.isDone;
  }

  #isBeingRead(): boolean {
    return this.#stream?.locked === true && !this.#hasFailed && !this.#parts.body.isDone;
  }

  /** Waits for a handler that still reads the body after its response, as long as it does. */
  async #finishBody(): Promise<void> {
    this.#readMs = systemClock.nowMs();
    while (this.#isBeingRead()) {
      if (!this.#isReading && systemClock.nowMs() - this.#readMs > READING_MS) return;
      await delay(LOOK_MS);
    }
  }

  /** Reads ahead, up to a limit, until the request is answered or the client has disconnected. */
  async #watch(): Promise<void> {
    const { input } = this.#parts;
    while (!this.#isOver && input.length < MOST_AHEAD) {
      if (await input.fill()) continue;
      this.#abort();
      return;
    }
  }

  #abort(): void {
    this.#aborted.abort(CANCELLED);
  }
}

/** Makes an event stream end with the server. */
function endable(answer: Response, events: EventStreams): Response {
  return !isWhole(answer) && isEventStream(answer.headers) && answer.body !== null
    ? events.add(answer)
    : answer;
}

/** Calls `onError` for a body that has failed; its result can't be sent any more. */
async function tell({ onError }: HttpServing, { cause }: BodyError): Promise<void> {
  if (cause === undefined) return;
  try {
    await onError(cause);
  } catch (error) {
    zdebug("error in onError, of which nobody sees the answer:", error);
  }
}

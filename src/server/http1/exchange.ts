/**
 * One request of HTTP/1 and its answer: what the handler is told meanwhile, and what is left of the body
 * when it has answered.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { BodyError, sendAnswer } from "./answer.ts";
import { BadRequest, type RequestHead } from "./head.ts";
import type { BodyInput, Http1Input } from "./input.ts";
import { HandlerInfo, type Http1Place, requestOf } from "./request.ts";
import { askHandler } from "../http/ask.ts";
import type { HttpServing } from "../http/handler.ts";
import { type EventStreams, isEventStream, isWhole } from "../http/streamed_answers.ts";

/** How much is read ahead of what is answered, to learn that the client has gone. */
const MOST_AHEAD = 64 * 1024;

/** How long the rest of a body that nobody reads may be for the connection to be used again. */
const MOST_DROPPED = 8 * 1024 * 1024;

/** How long after its answer a handler may take between two looks at the body, and how often to look. */
const READING_MS = 1_000, LOOK_MS = 50;

/** One for all requests: to make it takes longer than most of an answer. */
const CANCELLED = new DOMException("The request has been cancelled.", "AbortError");

/** What serves requests. */
export interface Http1Service extends HttpServing {
  /** Where they come to. */
  readonly place: Http1Place;
  /** The streams of events of all connections. */
  readonly events: EventStreams;
}

/** The connection, and what has come over it. */
export interface ExchangeParts {
  readonly conn: Pick<Deno.Conn, "write">;
  readonly input: Http1Input;
  readonly head: RequestHead;
  readonly body: BodyInput;
  /** Where the client is. */
  readonly remoteAddr: Deno.Addr;
}

/** See the head of this file. */
export class Http1Exchange {
  readonly #parts: ExchangeParts;
  readonly #aborted = new AbortController();
  #isOver = false;
  /** The body, where it was not all there at once. */
  #stream?: ReadableStream<Uint8Array<ArrayBuffer>>;
  #isReading = false;
  #readMs = 0;
  /** Whether the body has broken off, so that nothing more of it can be read. */
  #hasFailed = false;

  /** @param parts The connection, and what has come over it. */
  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  /**
   * Has the request answered, and sends the answer.
   *
   * @param service What answers.
   * @param isLast Asked when there is an answer: whether it is to be the last one.
   * @returns Whether the connection can be used again.
   * @throws {Error} When the client has gone, or the body of the answer has failed.
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
      // A client that has ended its output before may well have gone.
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
      // As the runtime does, whatever the answer.
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
          // A copy: the stream takes the memory away, in which more has come.
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
   * Whether what is left of the body can be read and dropped, so that the connection can be used again:
   * nobody reads it, no stream may be made of it, and it is not too long.
   */
  #canDropBody(answer: Response): boolean {
    const { body } = this.#parts;
    if (body.isDone) return true;
    const isLeft = isWhole(answer) && !this.#isBeingRead() && !this.#hasFailed;
    return isLeft && body.left <= MOST_DROPPED;
  }

  /** Returns whether it has come to its end. */
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

  /** A handler may go on reading behind its answer; one that has stopped is not waited for. */
  async #finishBody(): Promise<void> {
    this.#readMs = systemClock.nowMs();
    while (this.#isBeingRead()) {
      if (!this.#isReading && systemClock.nowMs() - this.#readMs > READING_MS) return;
      await new Promise<void>((resolve) => systemClock.setTimer(LOOK_MS, resolve));
    }
  }

  /** Reads what comes behind the request, up to a limit, until it is answered or the client has gone. */
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

/** An answer that tells of events comes to its end with the server. */
function endable(answer: Response, events: EventStreams): Response {
  return !isWhole(answer) && isEventStream(answer.headers) && answer.body !== null
    ? events.add(answer)
    : answer;
}

/** A body that fails can't be answered for any more: `onError` is told all the same. */
async function tell({ onError }: HttpServing, { cause }: BodyError): Promise<void> {
  if (cause === undefined) return;
  try {
    await onError(cause);
  } catch (error) {
    zdebug("error in onError, of which nobody sees the answer:", error);
  }
}

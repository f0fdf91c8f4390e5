/**
 * Answers whose body is a stream: the runtime tells of no body what it is, and a stream may be under way
 * for as long as the server lives.
 *
 * @module
 */

/** What the runtime keeps of an answer: checked before it is used. */
interface InnerResponse {
  readonly body?: { readonly streamOrStatic?: unknown } | null;
}

/** Where it keeps that; undefined in a version that does it in another way. */
const innerKey = Object.getOwnPropertySymbols(new Response())
  .find(({ description }) => description === "response") as keyof Response | undefined;

/**
 * Whether the body of an answer is a stream. `response.body` would make one of any body, which takes
 * longer than all the rest of an answer. Where the runtime keeps it in another way, no answer has one.
 *
 * @param response The answer.
 */
export function isStreamed(response: Response): boolean {
  if (innerKey === undefined) return false;
  const { body } = response[innerKey] as unknown as InnerResponse;
  return body?.streamOrStatic instanceof ReadableStream;
}

/**
 * Whether the body of an answer is all there, for certain. What is no stream for {@linkcode isStreamed}
 * may be one in a runtime that keeps answers in another way.
 *
 * @param response The answer.
 */
export function isWhole(response: Response): boolean {
  return innerKey !== undefined && !isStreamed(response);
}

/**
 * Whether an answer tells of events for as long as client and server are there (Server-Sent Events).
 * The end of such a stream is no loss: the client connects again. Any other stream has an end of its
 * own, and one that comes before it must not look like it.
 *
 * @param headers Its header fields.
 */
export function isEventStream(headers: Headers): boolean {
  return /^text\/event-stream\b/i.test(headers.get("content-type") ?? "");
}

/** Streams of events that are under way. */
export class EventStreams {
  readonly #ends = new Set<() => void>();

  /** How many there are. */
  get count(): number {
    return this.#ends.size;
  }

  /**
   * Takes one up.
   *
   * @param answer An answer whose body tells of events.
   * @returns The same answer, whose body {@linkcode endAll} can end.
   */
  add(answer: Response): Response {
    return new Response(this.endable(answer.body!), answer);
  }

  /**
   * Takes up a body.
   *
   * @param body The body.
   * @returns The same, which {@linkcode endAll} can end.
   */
  endable(body: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = body.getReader();
    let end: () => void;
    const forget = () => this.#ends.delete(end);
    return new ReadableStream({
      start: (controller) => {
        end = () => {
          forget();
          controller.close();
          reader.cancel("the server ends").catch(() => {
            // What it throws in its own end concerns no client.
          });
        };
        this.#ends.add(end);
      },
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!this.#ends.has(end)) return;
          if (!done) return controller.enqueue(value);
          forget();
          controller.close();
        } catch (error) {
          if (forget()) controller.error(error);
        }
      },
      cancel: (reason) => {
        forget();
        return reader.cancel(reason);
      },
    }, { highWaterMark: 0 });
  }

  /** Ends all, behind what they have told so far. */
  endAll(): void {
    for (const end of this.#ends) end();
  }
}

/**
 * Responses with a streamed body, which may last as long as the server: how to recognize them, and how to
 * end event streams.
 *
 * @module
 */

/** The runtime's internal response: checked before use. */
interface InnerResponse {
  readonly status?: unknown;
  readonly body?: { readonly streamOrStatic?: unknown } | null;
}

/** The key of the internal response; undefined in a version without it. */
const innerKey = Object.getOwnPropertySymbols(new Response())
  .find(({ description }) => description === "response") as keyof Response | undefined;

/**
 * Whether the body of a response is a stream. Reading `response.body` would create a stream for any body,
 * which takes longer than the rest of a response. In a runtime with other internals, the result is false.
 */
export function isStreamed(response: Response): boolean {
  if (innerKey === undefined) return false;
  const { body } = response[innerKey] as unknown as InnerResponse;
  return body?.streamOrStatic instanceof ReadableStream;
}

/**
 * Whether a handler's answer is certainly a response that neither streams nor upgrades, as most are. It may still be
 * one that the runtime refuses. The public members would create the body and the headers, of which the runtime needs
 * neither to send them.
 */
export function isPlain(answer: Response): boolean {
  if (innerKey === undefined) return false;
  const inner = answer?.[innerKey] as unknown as InnerResponse | undefined;
  if (typeof inner?.status !== "number" || inner.status === 101) return false;
  return !(inner.body?.streamOrStatic instanceof ReadableStream);
}

/**
 * Whether the body of a response is certainly complete. In a runtime with other internals, a body may be a
 * stream although {@linkcode isStreamed} is false.
 */
export function isWhole(response: Response): boolean {
  return innerKey !== undefined && !isStreamed(response);
}

/**
 * Whether a response is an event stream (Server-Sent Events). Ending such a stream early is no loss, since
 * the client reconnects. Any other stream must not be ended early, as its client would take the part for
 * the whole.
 */
export function isEventStream(headers: Headers): boolean {
  return /^text\/event-stream\b/i.test(headers.get("content-type") ?? "");
}

/** The event streams that are under way. */
export class EventStreams {
  readonly #ends = new Set<() => void>();

  /** The number of event streams. */
  get count(): number {
    return this.#ends.size;
  }

  /** Returns an event stream response whose body {@linkcode endAll} can end. */
  add(answer: Response): Response {
    return new Response(this.endable(answer.body!), answer);
  }

  /** Returns a body that {@linkcode endAll} can end. */
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
            // An error in its cancellation concerns no client.
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

  /** Ends all event streams after the events sent so far. */
  endAll(): void {
    for (const end of this.#ends) end();
  }
}

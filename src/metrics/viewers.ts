/**
 * The viewers of the page: streams of server-sent events, with a bound on their number and on what is kept for each.
 *
 * @module
 */
import type { Clock } from "../os/clock/clock.ts";

/** The most viewers at a time. */
export const MOST_VIEWERS = 48;

/** The most streams whose end has not reached its client: a client that does not read keeps its connection open. */
const MOST_UNSENT = 4 * MOST_VIEWERS;

/** How long a viewer may read nothing before its stream ends. */
export const STALLED_MS = 20_000;

/** How soon a browser comes back after the end of a stream. */
const RETRY_MS = 1_000;

/** One viewer. */
interface Viewer {
  readonly controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  /** Since when it has not read the last message; undefined if it has. */
  stalledSinceMs: number | undefined;
}

/** A message: the name of the event, and its data. */
export interface ServerEvent {
  readonly event: string;
  readonly data: unknown;
}

/** All viewers. At most one message waits for each; a viewer that reads slowly misses those between. */
export class Viewers {
  readonly #viewers = new Set<Viewer>();
  readonly #clock: Clock;
  #unsent = 0;
  #hasEnded = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many there are. */
  get count(): number {
    return this.#viewers.size;
  }

  /**
   * Adds a viewer.
   *
   * @param first The first messages.
   * @param sent Settled when the response has reached its client, or the client is gone.
   * @returns The body of the response; undefined if there are too many viewers, or the server stops.
   */
  add(
    first: readonly ServerEvent[],
    sent: Promise<void>,
  ): ReadableStream<Uint8Array<ArrayBuffer>> | undefined {
    const isFull = this.count >= MOST_VIEWERS || this.#unsent >= MOST_UNSENT;
    if (this.#hasEnded || isFull) return undefined;
    this.#unsent++;
    sent.catch(() => {}).then(() => this.#unsent--);
    let viewer: Viewer;
    return new ReadableStream({
      start: (controller) => {
        viewer = { controller, stalledSinceMs: undefined };
        this.#viewers.add(viewer);
        controller.enqueue(encode(`retry: ${RETRY_MS}\n\n${first.map(render).join("")}`));
      },
      cancel: () => void this.#viewers.delete(viewer),
    }, { highWaterMark: 1 });
  }

  /**
   * Sends a message to all viewers that have read the one before.
   *
   * @param message The message.
   */
  publish(message: ServerEvent): void {
    if (this.count === 0) return;
    // One copy for all: nobody writes into it.
    const bytes = encode(render(message)), nowMs = this.#clock.nowMs();
    for (const viewer of this.#viewers) {
      if ((viewer.controller.desiredSize ?? 0) > 0) {
        viewer.stalledSinceMs = undefined;
        viewer.controller.enqueue(bytes);
        continue;
      }
      viewer.stalledSinceMs ??= nowMs;
      if (nowMs - viewer.stalledSinceMs > STALLED_MS) this.#end(viewer);
    }
  }

  /** Ends all streams, and admits no further viewer: the server stops. */
  end(): void {
    this.#hasEnded = true;
    for (const viewer of this.#viewers) this.#end(viewer);
  }

  #end(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    viewer.controller.close();
  }
}

/** JSON has no line end outside of strings, where it is escaped, so one line of data is enough. */
function render({ event, data }: ServerEvent): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

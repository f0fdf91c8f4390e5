/**
 * The answers of the metrics service to HTTP requests. It only reads: no request changes anything.
 *
 * @module
 */
import { isAsWanted, type ServiceStatus, type Status } from "../control/status.ts";
import { zdebug } from "../log/log.ts";
import { type Clock, systemClock } from "../os/clock/clock.ts";
import { EXPOSITION_TYPE, renderExposition } from "./exposition.ts";
import { History } from "./history.ts";
import { pageOf } from "./page.ts";
import { Sampler } from "./sampler.ts";
import { type StatusClient, StatusSource } from "./status_source.ts";
import { Viewers } from "./viewers.ts";

const TEXT = "text/plain; charset=utf-8";

/** What all responses have: nothing is stored, guessed or framed. */
const COMMON_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
};

/** How soon a client without a free place may ask again, in seconds. */
const RETRY_AFTER_SECONDS = "10";

/** A status code, a media type and a text, with further header fields. */
interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly body: string | ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How the metrics server reaches its master. */
export interface MetricsServerOptions {
  /** Connects to the status socket of the master. */
  readonly connect: () => Promise<StatusClient>;
  /** @default {systemClock} */
  readonly clock?: Clock;
}

/** The metrics server without its socket. */
export class MetricsServer {
  readonly #source: StatusSource;
  readonly #history = new History();
  readonly #viewers: Viewers;
  readonly #sampler: Sampler;

  constructor({ connect, clock = systemClock }: MetricsServerOptions) {
    this.#source = new StatusSource({ connect, clock });
    this.#viewers = new Viewers(clock);
    this.#sampler = new Sampler({
      source: this.#source,
      history: this.#history,
      viewers: this.#viewers,
      clock,
    });
  }

  /** Begins to take the history. */
  start(): void {
    this.#sampler.start();
  }

  /** Ends the streams of all viewers, whose browsers come back to the next server. */
  stop(): void {
    this.#sampler.stop();
    this.#viewers.end();
  }

  /**
   * Answers a request.
   *
   * @param request The request.
   * @param sent Settled when the response has reached its client, or the client is gone.
   */
  async answer(request: Request, sent: Promise<void>): Promise<Response> {
    const { status, type = TEXT, body, headers } = await this.#answer(request, sent);
    return new Response(body, {
      status,
      headers: { ...COMMON_HEADERS, "content-type": type, ...headers },
    });
  }

  async #answer({ method, url }: Request, sent: Promise<void>): Promise<Answer> {
    if (method !== "GET" && method !== "HEAD") {
      const body = `Only GET and HEAD are answered, not ${method.slice(0, 20)}.\n`;
      return { status: 405, body, headers: { allow: "GET, HEAD" } };
    }
    switch (URL.parse(url)?.pathname) {
      case "/":
        return await page();
      case "/events":
        return this.#events(method, sent);
      case "/metrics":
        return await this.#ofStatus((status) => ({
          status: 200,
          type: EXPOSITION_TYPE,
          body: renderExposition(status),
        }));
      case "/live":
        return await this.#ofStatus(() => ({ status: 200, body: "live\n" }));
      case "/ready":
        return await this.#ofStatus(readiness);
      case undefined:
        // The client has sent a host or an address that no URL can have.
        return { status: 400, body: "The request has no valid address.\n" };
      default:
        return {
          status: 404,
          body: "Not found. There are /, /metrics, /live, /ready and /events.\n",
        };
    }
  }

  #events(method: string, sent: Promise<void>): Answer {
    const type = "text/event-stream; charset=utf-8";
    if (method === "HEAD") return { status: 200, type, body: "" };
    const body = this.#viewers.add([{ event: "history", data: this.#history.points }], sent);
    if (body === undefined) {
      const text = "Too many viewers look at this page, or the server is about to stop.\n";
      return { status: 503, body: text, headers: { "retry-after": RETRY_AFTER_SECONDS } };
    }
    this.#sampler.soon();
    return { status: 200, type, body };
  }

  /** What follows from the status, or that there is none. */
  async #ofStatus(answer: (status: Status) => Answer): Promise<Answer> {
    let status: Status;
    try {
      status = await this.#source.get();
    } catch (error) {
      zdebug("the master does not answer:", error);
      return { status: 503, body: "The master does not answer.\n" };
    }
    return answer(status);
  }
}

async function page(): Promise<Answer> {
  const { html, policy } = await pageOf();
  return {
    status: 200,
    type: "text/html; charset=utf-8",
    body: html,
    headers: { "content-security-policy": policy },
  };
}

/** Whether every service is ready, and else one line for each that is not. */
function readiness({ state, master, services }: Status): Answer {
  if (state === "ready") return { status: 200, body: "ready\n" };
  const lines = services.flatMap((service) => whyUnready(service) ?? []);
  if (lines.length === 0) lines.push(`the master is ${master.phase}`);
  return { status: 503, body: `${lines.join("\n")}\n` };
}

function whyUnready({ id, state, ready, wanted, problem }: ServiceStatus): string | undefined {
  if (isAsWanted(state)) return undefined;
  const text = `${id}: ${state}, ${ready} of ${wanted} processes ready`;
  return problem === null ? text : `${text}: ${problem.replace(/\s+/g, " ")}`;
}

/**
 * Load for tests of reloads: clients that ask again as soon as they are answered, over connections that are
 * kept as long as the server keeps them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { HttpClient } from "./http_client.ts";

/** What the clients of an {@linkcode HttpLoad} ask. */
export interface HttpLoadOptions {
  /** How many there are for each port. */
  readonly clients: number;
  /** The bytes of their request. */
  readonly request: string;
}

/** For how long a client keeps a connection that is idle: a server that stops closes it after a second. */
const KEPT_MS = 500;

/** Running clients. Declare it with `await using`. */
export class HttpLoad implements AsyncDisposable {
  readonly #running: Promise<void>[];
  #goesOn = true;
  /** How many requests have been answered so far. */
  answered = 0;
  /** What has become of the requests that were not. */
  readonly lost: unknown[] = [];

  /**
   * @param ports Whom they ask.
   * @param options How many there are, and what they ask.
   */
  constructor(ports: readonly number[], { clients, request }: HttpLoadOptions) {
    this.#running = ports.flatMap((port) =>
      Array.from({ length: clients }, () => this.#ask(port, request))
    );
  }

  /** Waits for the last answers. */
  async end(): Promise<void> {
    this.#goesOn = false;
    await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  async #ask(port: number, request: string): Promise<void> {
    while (this.#goesOn) {
      try {
        using client = await HttpClient.connect(port);
        for (let isKept = true; isKept && this.#goesOn && client.quietMs < KEPT_MS;) {
          await client.send(request);
          const { status, headers } = await client.answer();
          assertEquals(status, 200);
          this.answered++;
          isKept = headers.get("connection")?.toLowerCase() !== "close";
        }
      } catch (error) {
        this.lost.push(error);
      }
    }
  }
}

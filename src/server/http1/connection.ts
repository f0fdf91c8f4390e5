/**
 * One connection of HTTP/1, from its first request to its end: one request after the other, each
 * answered before the next one is looked at (RFC 9112).
 *
 * @module
 */
import { systemClock } from "../../os/clock/clock.ts";
import { zdebug } from "../../log/log.ts";
import { QUIET_MS } from "../lifecycle/drain_limits.ts";
import { latin1, sendAnswer, writeAll } from "./answer.ts";
import { Http1Exchange, type Http1Service } from "./exchange.ts";
import { BadRequest, HeadReader, MOST_HEAD_BYTES, type RequestHead } from "./head.ts";
import { BodyInput, Http1Input } from "./input.ts";

/** How long a client may be silent that has had its last answer and has not closed its side. */
const LINGER_MS = 1_000;

/** What an answer is framed by where there is no request. */
const NO_REQUEST = {
  head: { method: "GET", isHttp11: true },
  keepAlive: false,
  signal: new AbortController().signal,
};

const CONTINUE = latin1("HTTP/1.1 100 Continue\r\n\r\n");

/** See the head of this file. */
export class Http1Connection {
  readonly #conn: Deno.Conn;
  readonly #service: Http1Service;
  readonly #remoteAddr: Deno.Addr;
  readonly #input: Http1Input;
  /** Whether the next answer is the last one. */
  #isDraining = false;
  /** Whether the next request is waited for, and nothing of it has come. */
  #isIdle = false;

  /**
   * @param conn The connection, which belongs to this object.
   * @param service What serves it.
   */
  constructor(conn: Deno.Conn, service: Http1Service) {
    this.#conn = conn;
    this.#service = service;
    this.#input = new Http1Input(conn);
    const { address } = service.place;
    // On a unix socket the runtime tells where it listens.
    this.#remoteAddr = address.kind === "inet"
      ? conn.remoteAddr
      : { transport: "unix", path: address.path };
  }

  /** Serves it to its end, and closes it. */
  async serve(): Promise<void> {
    try {
      while (await this.#serveNext());
      await this.#linger();
    } catch (error) {
      zdebug("a connection of HTTP has ended:", error);
    } finally {
      this.#close();
    }
  }

  /** The server is told to stop: the next answer is the last one, and one that is idle is closed soon. */
  drain(): void {
    this.#isDraining = true;
    if (this.#isIdle) this.#closeIfIdle();
  }

  #closeIfIdle(): void {
    systemClock.setTimer(QUIET_MS, () => {
      if (this.#isIdle) this.#close();
    });
  }

  #close(): void {
    this.#conn[Symbol.dispose]();
  }

  /** Returns whether another request may come. */
  async #serveNext(): Promise<boolean> {
    const conn = this.#conn, input = this.#input, remoteAddr = this.#remoteAddr;
    const head = await this.#head();
    if (head === undefined) return false;
    const body = new BodyInput(input, head.body);
    if (head.expectsContinue && !body.isDone) await writeAll(conn, CONTINUE);
    const exchange = new Http1Exchange({ conn, input, head, body, remoteAddr });
    return await exchange.run(this.#service, () => this.#isDraining);
  }

  /** The next head; undefined when the client has gone, or has broken the protocol and is told so. */
  async #head(): Promise<RequestHead | undefined> {
    try {
      return await this.#readHead();
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      zdebug("a client broke the protocol:", error.message);
      await sendAnswer(this.#conn, new Response(null, { status: 400 }), NO_REQUEST);
      return undefined;
    }
  }

  /** Says that it has been the last answer, and takes what the client still sends. */
  async #linger(): Promise<void> {
    if (this.#input.hasEnded) return;
    await this.#conn.closeWrite();
    for (let goesOn = true; goesOn;) {
      this.#input.take(Infinity);
      const timer = systemClock.setTimer(LINGER_MS, () => this.#close());
      goesOn = await this.#input.fill();
      timer.cancel();
    }
  }

  async #readHead(): Promise<RequestHead | undefined> {
    const reader = new HeadReader(), input = this.#input;
    for (let size = 0;;) {
      if (reader.isEmpty) input.skipEmptyLines();
      const line = input.takeLine();
      if (line !== undefined) {
        size += line.length;
        if (size > MOST_HEAD_BYTES) throw new BadRequest("too long a head");
        const head = reader.take(line.replace(/\r?\n$/, ""));
        if (head !== undefined) return head;
        continue;
      }
      if (size + input.length >= MOST_HEAD_BYTES) throw new BadRequest("too long a head");
      reader.foresee(input.peek(MOST_HEAD_BYTES));
      if (!await this.#more(reader.isEmpty && input.length === 0)) return undefined;
    }
  }

  async #more(isIdle: boolean): Promise<boolean> {
    this.#isIdle = isIdle;
    if (isIdle && this.#isDraining) this.#closeIfIdle();
    try {
      return await this.#input.fill();
    } finally {
      this.#isIdle = false;
    }
  }
}

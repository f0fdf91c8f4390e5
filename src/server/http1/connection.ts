/**
 * An HTTP/1 connection from its first request to its close: one request after the other, each answered
 * before the next one is read (RFC 9112).
 *
 * @module
 */
import { systemClock } from "../../os/clock/clock.ts";
import { zdebug } from "../../log/log.ts";
import { QUIET_MS } from "../lifecycle/quiet.ts";
import { latin1, sendAnswer, writeAll } from "./answer.ts";
import { Http1Exchange, type Http1Service } from "./exchange.ts";
import { BadRequest, HeadReader, MOST_HEAD_BYTES, type RequestHead } from "./head.ts";
import { BodyInput, Http1Input } from "./input.ts";

/** The longest silence of a client that has had its last response and has not closed its side. */
const LINGER_MS = 1_000;

/** The head that frames a response to no request. */
const NO_REQUEST = {
  head: { method: "GET", isHttp11: true },
  keepAlive: false,
  signal: new AbortController().signal,
};

const CONTINUE = latin1("HTTP/1.1 100 Continue\r\n\r\n");

/** One HTTP/1 connection. */
export class Http1Connection {
  readonly #conn: Deno.Conn;
  readonly #service: Http1Service;
  readonly #remoteAddr: Deno.Addr;
  readonly #input: Http1Input;
  /** Whether the next response is the last one. */
  #isDraining = false;
  /** Whether it waits for a request of which no byte has arrived. */
  #isIdle = false;
  /** Whether it waits for the head of a request, or for the rest of it. */
  #isWaiting = true;

  /** Takes ownership of the connection. */
  constructor(conn: Deno.Conn, service: Http1Service) {
    this.#conn = conn;
    this.#service = service;
    this.#input = new Http1Input(conn);
    const { address } = service.place;
    // On a unix socket the runtime reports the address of the listener.
    this.#remoteAddr = address.kind === "inet"
      ? conn.remoteAddr
      : { transport: "unix", path: address.path };
  }

  /** Serves the connection to its end, and closes it. */
  async serve(): Promise<void> {
    try {
      while (await this.#serveNext());
      await this.#linger();
    } catch (error) {
      zdebug("a connection of HTTP has ended:", error);
    } finally {
      this.close();
    }
  }

  /** Starts the drain: the next response is the last one, and an idle connection is closed soon. */
  drain(): void {
    this.#isDraining = true;
    if (this.#isIdle) this.#closeIfIdle();
  }

  /** Whether no request is under way: its head has not arrived as a whole. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  #closeIfIdle(): void {
    systemClock.setTimer(QUIET_MS, () => {
      if (this.#isIdle) this.close();
    });
  }

  /** Closes the connection, whatever is under way. */
  close(): void {
    this.#conn[Symbol.dispose]();
  }

  /** Serves one request, and returns whether another one may follow. */
  async #serveNext(): Promise<boolean> {
    const conn = this.#conn, input = this.#input, remoteAddr = this.#remoteAddr;
    this.#isWaiting = true;
    const head = await this.#head();
    if (head === undefined) return false;
    this.#isWaiting = false;
    const body = new BodyInput(input, head.body);
    if (head.expectsContinue && !body.isDone) await writeAll(conn, CONTINUE);
    const exchange = new Http1Exchange({ conn, input, head, body, remoteAddr });
    return await exchange.run(this.#service, () => this.#isDraining);
  }

  /** Reads the next head; undefined when the client has disconnected or was told of a protocol error. */
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

  /** Ends the output after the last response, and discards what the client still sends. */
  async #linger(): Promise<void> {
    if (this.#input.hasEnded) return;
    await this.#conn.closeWrite();
    for (let goesOn = true; goesOn;) {
      this.#input.take(Infinity);
      const timer = systemClock.setTimer(LINGER_MS, () => this.close());
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

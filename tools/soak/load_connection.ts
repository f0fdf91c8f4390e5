/**
 * One connection of the load client: it asks, checks each answer, and tells in which way a request
 * was lost. It uses the socket itself, so that nothing is tried again behind its back.
 *
 * @module
 */
import type { LoadAddress, LoadProtocol, LoadTarget } from "./load_plan.ts";
import type { LossKind } from "./tally.ts";

/** A request. */
export interface LoadRequest {
  /** What the answer must repeat, different for each request. */
  readonly token: string;
  /** How many bytes the answer has beside. */
  readonly length: number;
  /** When the answer is due, in milliseconds after the request. */
  readonly delayMs: number;
  /** Whether HTTP is to send it as a body. */
  readonly asBody: boolean;
  /** Whether it is the only one of its connection, which HTTP says. */
  readonly only: boolean;
}

/** An answer that was as it should be. */
export interface LoadAnswer {
  /** The version of the server. */
  readonly version: string;
  /** The server's process. */
  readonly pid: number;
  /** Whether the server wants the connection to be closed. */
  readonly last: boolean;
}

/** A request was lost. */
export class Loss extends Error {
  /** The error class's name. */
  override readonly name = "Loss";

  /**
   * @param kind In which way.
   * @param message What happened.
   * @param options The cause.
   */
  constructor(readonly kind: LossKind, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

const { errors } = Deno;
/** ENOENT is a unix socket whose path is gone, EAGAIN one whose queue is full. */
const REFUSALS = [errors.ConnectionRefused, errors.NotFound, errors.WouldBlock];
const RESETS = [
  errors.ConnectionReset,
  errors.BrokenPipe,
  errors.ConnectionAborted,
  errors.NotConnected,
];

/** What an error means for the request; one that means nothing is a fault of the client. */
function lossOf(error: unknown, when: string): unknown {
  if (error instanceof Loss) return error;
  const is = (kinds: readonly (new () => Error)[]) => kinds.some((kind) => error instanceof kind);
  const text = `${when}: ${(error as Error).message}`;
  if (is(REFUSALS)) return new Loss("refused", text, { cause: error });
  if (is(RESETS)) return new Loss("reset", text, { cause: error });
  if (error instanceof errors.TimedOut) return new Loss("timedOut", text, { cause: error });
  return error;
}

async function connect(address: LoadAddress): Promise<Deno.Conn> {
  if (address.transport === "unix") return await Deno.connect(address);
  const conn = await Deno.connect(address);
  // A body that is sent by itself would wait for the acknowledgement of its headers.
  conn.setNoDelay();
  return conn;
}

const encoder = new TextEncoder();
const ROOM_BYTES = 64 * 1024;

/** A connection. Declare it with `using`. */
export class LoadConnection implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #protocol: LoadProtocol;
  readonly #timeoutMs: number;
  readonly #decoder = new TextDecoder();
  readonly #room = new Uint8Array(ROOM_BYTES);
  #text = "";
  #answered = 0;
  #expired = false;
  #open = true;

  private constructor(conn: Deno.Conn, protocol: LoadProtocol, timeoutMs: number) {
    this.#conn = conn;
    this.#protocol = protocol;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Connects.
   *
   * @param target To whom.
   * @param timeoutMs How long this, and each answer, may take, in milliseconds.
   * @throws {Loss} When it can't.
   */
  static async open(target: LoadTarget, timeoutMs: number): Promise<LoadConnection> {
    const connecting = connect(target.address);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Loss("timedOut", "while connecting")),
      timeoutMs,
    );
    try {
      const conn = await Promise.race([connecting, late.promise]);
      return new LoadConnection(conn, target.protocol, timeoutMs);
    } catch (error) {
      // It may still come about. If not, that is known already.
      connecting.then((conn) => conn.close(), () => {});
      throw lossOf(error, "while connecting");
    } finally {
      clearTimeout(timer);
    }
  }

  /** How many answers have come so far. */
  get answered(): number {
    return this.#answered;
  }

  /**
   * Asks, and waits for the answer.
   *
   * @param request The request.
   * @returns The answer, as it should be.
   * @throws {Loss} When there is none.
   */
  async ask(request: LoadRequest): Promise<LoadAnswer> {
    const answer = await this.#bounded(request.delayMs, async () => {
      if (this.#protocol === "http") {
        await this.#askHttp(request);
        return await this.#httpAnswer();
      }
      await this.#write(`${words(request)}\n`);
      return { text: await this.#through("\n"), last: false };
    });
    if (this.#text !== "") throw new Loss("wrong", `more than one answer: ${brief(this.#text)}`);
    const [token, version, pid, rest, ...more] = answer.text.trimEnd().split(" ");
    if (token !== request.token || rest?.length !== request.length + 1 || more.length > 0) {
      throw new Loss("wrong", `to ${words(request)} the answer is ${brief(answer.text)}`);
    }
    this.#answered++;
    return { version, pid: Number(pid), last: answer.last };
  }

  /**
   * Waits for the end of the connection, which the server is to close in an orderly way.
   *
   * @throws {Loss} When something else comes.
   */
  async ended(): Promise<void> {
    await this.#bounded(0, async () => {
      if (await this.#read()) throw new Loss("wrong", `behind the answer: ${brief(this.#text)}`);
    });
  }

  /** Closes it. Harmless the second time. */
  close(): void {
    if (this.#open) this.#conn.close();
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #bounded<T>(moreMs: number, task: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.#expired = true;
      this.close();
    }, this.#timeoutMs + moreMs);
    const when = `at answer ${this.#answered + 1} of the connection`;
    try {
      return await task();
    } catch (error) {
      throw this.#expired ? new Loss("timedOut", when, { cause: error }) : lossOf(error, when);
    } finally {
      clearTimeout(timer);
    }
  }

  async #askHttp(request: LoadRequest): Promise<void> {
    const connection = request.only ? "Connection: close\r\n" : "";
    const text = words(request);
    if (!request.asBody) {
      const path = text.replaceAll(" ", "/");
      return await this.#write(`GET /${path} HTTP/1.1\r\nHost: soak\r\n${connection}\r\n`);
    }
    const length = `Content-Length: ${text.length}\r\n`;
    await this.#write(`POST / HTTP/1.1\r\nHost: soak\r\n${connection}${length}\r\n`);
    // By itself, so that the server may begin to answer, or to stop, in between.
    await this.#write(text);
  }

  async #httpAnswer(): Promise<{ text: string; last: boolean }> {
    const [status, ...lines] = (await this.#through("\r\n\r\n")).trimEnd().split("\r\n");
    if (!status.startsWith("HTTP/1.1 200 ")) throw new Loss("wrong", status);
    const headers = new Map(lines.map((line) => {
      const [name, value] = line.toLowerCase().split(":", 2);
      return [name, value.trim()];
    }));
    const text = headers.get("transfer-encoding") === "chunked"
      ? await this.#chunks()
      : await this.#exactly(Number(headers.get("content-length")));
    return { text, last: headers.get("connection") === "close" };
  }

  async #chunks(): Promise<string> {
    let text = "";
    for (;;) {
      const length = parseInt(await this.#through("\r\n"), 16);
      const chunk = await this.#exactly(length + 2);
      if (length === 0) return text;
      text += chunk.slice(0, length);
    }
  }

  async #through(mark: string): Promise<string> {
    let end: number;
    while ((end = this.#text.indexOf(mark)) < 0) await this.#mustRead();
    return this.#take(end + mark.length);
  }

  async #exactly(length: number): Promise<string> {
    while (this.#text.length < length) await this.#mustRead();
    return this.#take(length);
  }

  #take(length: number): string {
    const taken = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return taken;
  }

  /** All text is ASCII, so that its characters are its bytes. */
  async #mustRead(): Promise<void> {
    if (await this.#read()) return;
    const got = this.#text === "" ? "before the answer" : `within it, after ${brief(this.#text)}`;
    throw new Loss("cut", `end of file ${got}, at answer ${this.#answered + 1} of the connection`);
  }

  async #read(): Promise<boolean> {
    const count = await this.#conn.read(this.#room);
    if (count === null) return false;
    this.#text += this.#decoder.decode(this.#room.subarray(0, count));
    return true;
  }

  async #write(text: string): Promise<void> {
    const bytes = encoder.encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }
}

function words({ token, length, delayMs }: LoadRequest): string {
  return `${token} ${length} ${delayMs}`;
}

function brief(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

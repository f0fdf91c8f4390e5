/**
 * An HTTP/1.1 client that shows what a browser hides: one connection, its requests in pieces, the
 * headers of its answers, and its end.
 *
 * @module
 */
import { openDescriptors } from "../../src/os/fd/descriptor.ts";
import { endOf } from "../../src/os/net/connections.ts";
import { trafficOf } from "../../src/os/net/traffic.ts";
import { TEST_CERT } from "../support/tls.ts";
import { within } from "../support/wait.ts";

/**
 * Fetches a text over a connection of its own: a kept one may be that of a process that has ended.
 *
 * @param url Where from.
 * @param client Whose certificates to trust; default those of the system.
 */
export async function fetchText(url: string, client?: Deno.HttpClient): Promise<string> {
  const headers = { connection: "close" };
  return await (await fetch(url, { headers, ...(client && { client }) })).text();
}

/** An answer. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in small letters. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const encoder = new TextEncoder();

/** One connection. Declare it with `using`. */
export class HttpClient implements Disposable {
  readonly #conn: Deno.Conn;
  #bytes = new Uint8Array();
  #fd?: number;

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /**
   * Connects.
   *
   * @param target A port of 127.0.0.1, or the path of a unix socket.
   * @param options `tls`: whether to speak TLS, with a server that has the test certificate.
   */
  static async connect(
    target: number | string,
    { tls = false }: { readonly tls?: boolean } = {},
  ): Promise<HttpClient> {
    const conn = typeof target === "string"
      ? Deno.connect({ transport: "unix", path: target })
      : tls
      ? Deno.connectTls({ hostname: "localhost", port: target, caCerts: [TEST_CERT] })
      : Deno.connect({ hostname: "127.0.0.1", port: target });
    return new HttpClient(await within<Deno.Conn>(conn, { what: `a connection to ${target}` }));
  }

  /**
   * The time since the last bytes came or went over TCP, in milliseconds. The kernel counts it, also while this process
   * waits for a processor. A connection that is gone is quiet for ever.
   */
  get quietMs(): number {
    const { port } = this.#conn.localAddr as Deno.NetAddr;
    const isOwn = (fd: number) => endOf(fd, "local") === `127.0.0.1:${port}`;
    const fd = this.#fd ??= openDescriptors().keys().find(isOwn);
    const traffic = fd === undefined ? undefined : trafficOf(fd, "inet");
    return traffic?.quietMs ?? Infinity;
  }

  /**
   * Sends bytes as they are.
   *
   * @param data The bytes, or text.
   */
  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  /**
   * Asks for a path, without waiting for the answer.
   *
   * @param path The path.
   */
  request(path: string): Promise<void> {
    return this.send(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`);
  }

  /**
   * Asks for a path.
   *
   * @param path The path.
   * @returns The answer.
   */
  async get(path: string): Promise<HttpAnswer> {
    await this.request(path);
    return await this.answer();
  }

  /**
   * Begins a request with a body, of which nothing is sent yet.
   *
   * @param path The path.
   * @param length How long the body will be.
   */
  post(path: string, length: number): Promise<void> {
    return this.send(`POST ${path} HTTP/1.1\r\nHost: test\r\nContent-Length: ${length}\r\n\r\n`);
  }

  /** Waits for an answer. */
  async answer(): Promise<HttpAnswer> {
    const [first, ...lines] = (await this.#through("\r\n\r\n")).trimEnd().split("\r\n");
    const headers = new Map(lines.map((line) => {
      const [name, ...value] = line.split(":");
      return [name.toLowerCase(), value.join(":").trim()];
    }));
    const status = Number(first.split(" ")[1]);
    if (status === 100) return await this.answer();
    const body = headers.get("transfer-encoding") === "chunked"
      ? await this.#chunks()
      : await this.#exactly(Number(headers.get("content-length") ?? 0));
    return { status, headers, body };
  }

  /** Waits for the end of the connection, and fails if anything comes before it. */
  async ended(): Promise<void> {
    const more = await this.#read();
    if (more) throw new Error(`Cannot end here: ${this.#bytes.length} bytes came, expected none`);
  }

  /** Waits for the end of the connection, and returns what has come before it. */
  async rest(): Promise<number[]> {
    while (await this.#read());
    return [...this.#bytes];
  }

  async #chunks(): Promise<string> {
    let body = "";
    for (;;) {
      const length = parseInt(await this.#through("\r\n"), 16);
      const chunk = await this.#exactly(length + 2);
      if (length === 0) return body;
      body += chunk.slice(0, length);
    }
  }

  async #through(mark: string): Promise<string> {
    for (;;) {
      const end = new TextDecoder("latin1").decode(this.#bytes).indexOf(mark);
      if (end >= 0) return this.#take(end + mark.length);
      await this.#mustRead();
    }
  }

  async #exactly(length: number): Promise<string> {
    while (this.#bytes.length < length) await this.#mustRead();
    return this.#take(length);
  }

  #take(length: number): string {
    const text = new TextDecoder("latin1").decode(this.#bytes.subarray(0, length));
    this.#bytes = this.#bytes.slice(length);
    return text;
  }

  async #mustRead(): Promise<void> {
    if (!await this.#read()) {
      throw new Error(`Cannot read an answer: end of file after ${this.#bytes.length} bytes of it`);
    }
  }

  async #read(): Promise<boolean> {
    const room = new Uint8Array(64 * 1024);
    const count = await within(this.#conn.read(room), { what: "bytes from the server" });
    if (count === null) return false;
    const bytes = new Uint8Array(this.#bytes.length + count);
    bytes.set(this.#bytes);
    bytes.set(room.subarray(0, count), this.#bytes.length);
    this.#bytes = bytes;
    return true;
  }

  [Symbol.dispose](): void {
    try {
      this.#conn.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

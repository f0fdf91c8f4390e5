/**
 * Clients for tests: lines over a TCP or unix socket, each wait bounded.
 *
 * @module
 */
import { eventually, within } from "./wait.ts";

/** Where a client connects: a port of 127.0.0.1, or the path of a unix socket. */
export type Target = number | string;

/** How a connection ended: by an end of file, or in another way. */
export type Ending = "end of file" | "reset";

const encoder = new TextEncoder();

/** A connection that speaks in lines. Declare it with `using`. */
export class Client implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #decoder = new TextDecoder();
  #text = "";
  #open = true;

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /**
   * Connects.
   *
   * @param target Where.
   * @throws {Deno.errors.ConnectionRefused} When nobody listens there.
   * @throws {Deno.errors.NotFound} When there is no such path.
   */
  static async connect(target: Target): Promise<Client> {
    const conn = typeof target === "number"
      ? Deno.connect({ hostname: "127.0.0.1", port: target })
      : Deno.connect({ transport: "unix", path: target });
    return new Client(await within<Deno.Conn>(conn, { what: `a connection to ${target}` }));
  }

  /** This end's port; 0 on a unix socket. */
  get localPort(): number {
    const { localAddr } = this.#conn;
    return localAddr.transport === "tcp" ? localAddr.port : 0;
  }

  /**
   * Writes, and waits for nothing else.
   *
   * @param text What to write.
   */
  async write(text: string): Promise<void> {
    const bytes = encoder.encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  /**
   * Waits for the next line.
   *
   * @param withinMs How long at most, in milliseconds.
   * @returns The line without its end.
   * @throws {Error} When the connection ends before it.
   */
  line(withinMs?: number): Promise<string> {
    return within(this.#line(), { what: "a line from the server", withinMs });
  }

  /**
   * Writes a line and waits for the next one from the server.
   *
   * @param line What to write, without its end.
   */
  async ask(line: string): Promise<string> {
    await this.write(`${line}\n`);
    return await this.line();
  }

  /**
   * Waits for the end of the connection, and fails if anything comes before it.
   *
   * @param withinMs How long at most, in milliseconds.
   */
  async ending(withinMs?: number): Promise<Ending> {
    const read = this.#read().catch((error) => {
      if (error instanceof Deno.errors.ConnectionReset) return "reset" as const;
      throw error;
    });
    const got = await within(read, { what: "the end of the connection", withinMs });
    if (got === "reset") return got;
    if (got) {
      throw new Error(`Cannot end here: ${JSON.stringify(this.#text)} came, expected no more`);
    }
    return "end of file";
  }

  /** Ends this side's output. */
  async closeWrite(): Promise<void> {
    await this.#conn.closeWrite();
  }

  /** Closes the connection. */
  close(): void {
    if (this.#open) this.#conn.close();
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      if (!await this.#read()) {
        throw new Error(`Cannot read a line: end of file after ${JSON.stringify(this.#text)}`);
      }
    }
  }

  /** Takes what is there; false at the end of the connection. */
  async #read(): Promise<boolean> {
    const room = new Uint8Array(16 * 1024);
    const count = await this.#conn.read(room);
    if (count === null) return false;
    this.#text += this.#decoder.decode(room.subarray(0, count), { stream: true });
    return true;
  }
}

/** A connection on which the greeting has come. */
export type Greeted = Client & { readonly greeting: string };

/**
 * Connects, and waits for the greeting.
 *
 * @param target Where.
 * @returns The connection and the greeting.
 */
export async function greeted(target: Target): Promise<Greeted> {
  const client = await Client.connect(target);
  try {
    return Object.assign(client, { greeting: await client.line() });
  } catch (error) {
    client.close();
    throw error;
  }
}

/**
 * Connects as soon as somebody listens there, and waits for the greeting.
 *
 * @param target Where.
 * @returns The connection and the greeting.
 */
export function greetedOnceOpen(target: Target): Promise<Greeted> {
  return eventually(async () => {
    try {
      return await greeted(target);
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }, { what: `somebody to listen at ${target}` });
}

/** Connections that end with the test at the latest. Declare it with `using`. */
export class Clients extends DisposableStack {
  /**
   * Connects, and waits for the greeting.
   *
   * @param target Where.
   * @returns The connection and the greeting.
   */
  async greeted(target: Target): Promise<Greeted> {
    return this.use(await greeted(target));
  }
}

/**
 * Whether a connection is refused: nobody listens there.
 *
 * @param target Where.
 */
export async function isRefused(target: Target): Promise<boolean> {
  try {
    (await Client.connect(target)).close();
    return false;
  } catch (error) {
    if (isRefusal(error)) return true;
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  const { ConnectionRefused, NotFound } = Deno.errors;
  return error instanceof ConnectionRefused || error instanceof NotFound;
}

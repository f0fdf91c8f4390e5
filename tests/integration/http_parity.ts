/**
 * Asks servers of HTTP the same in raw bytes, and tells what came of it: on the wire, and in the
 * handler. Only what may differ between two runs of the same server is made equal: ports and dates.
 *
 * @module
 */
import { within } from "../support/wait.ts";

/** What to ask. */
export interface Question {
  /** What to send; a second piece is sent when the handler has begun. Characters are bytes. */
  readonly send: string | readonly string[];
  /** How many answers must come; default 1. */
  readonly answers?: number;
  /** Whether they have no body, whatever their headers say. */
  readonly head?: boolean;
  /** What the client does when all is sent; `leaves` when the handler has begun. */
  readonly then?: "ends its output" | "leaves" | "leaves at once" | "releases";
}

/** An answer as it came. */
interface Answer {
  readonly status: string;
  headers: readonly (readonly [string, string])[];
  /** How the end of the body is told. */
  readonly framing: "none" | "length" | "chunks" | "the end";
  readonly body: string;
  /** Whether it broke off. */
  readonly broken?: true;
}

/** What the handler was told of a request, as far as it is looked at. */
interface Call {
  completed?: string;
  readonly notes: unknown[];
}

/** What came of a question. */
export interface Outcome {
  answers: readonly Answer[];
  /** What came behind the answers. */
  readonly rest: string;
  /** Whether another request on the connection is answered. */
  open: boolean;
  /** What the handler was told. */
  readonly calls: readonly Call[];
}

/** A port of 127.0.0.1 or a path; `caCerts` for TLS. */
export interface Server {
  readonly target: number | string;
  readonly caCerts?: string[];
}

const PROBE = "GET /probe HTTP/1.1\r\nHost: test\r\n\r\n";

/** One connection, whose bytes are characters. */
class Wire implements Disposable {
  #text = "";
  #ended = false;

  private constructor(readonly conn: Deno.Conn) {}

  static async connect({ target, caCerts }: Server): Promise<Wire> {
    if (typeof target === "string") {
      return new Wire(await Deno.connect({ transport: "unix", path: target }));
    }
    const at = { hostname: "127.0.0.1", port: target };
    return new Wire(caCerts ? await Deno.connectTls({ ...at, caCerts }) : await Deno.connect(at));
  }

  async send(text: string): Promise<void> {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  /** All up to a mark, or the first so many characters; less at the end of the connection. */
  async take(wanted: string | number): Promise<string> {
    for (;;) {
      const found = typeof wanted === "number" ? 0 : this.#text.indexOf(wanted);
      const length = typeof wanted === "number" ? wanted : found + wanted.length;
      if (this.#ended || found >= 0 && this.#text.length >= length) {
        const taken = this.#text.slice(0, found < 0 ? Infinity : length);
        this.#text = this.#text.slice(taken.length);
        return taken;
      }
      await this.#more();
    }
  }

  /** What has come and was not taken. */
  get rest(): string {
    return this.#text;
  }

  async #more(): Promise<void> {
    const room = new Uint8Array(64 * 1024);
    const read = this.conn.read(room).catch((error) => {
      // A reset, or an end of TLS without its last message.
      if (error instanceof Deno.errors.ConnectionReset) return null;
      if (error instanceof Deno.errors.UnexpectedEof) return null;
      throw error;
    });
    const count = await within(read, { what: `more than ${JSON.stringify(this.#text)}` });
    if (count === null) this.#ended = true;
    else this.#text += new TextDecoder("latin1").decode(room.subarray(0, count));
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

interface AnswerOptions {
  /** Whether it has no body, whatever its headers say. */
  readonly head?: boolean;
  /** What to do between head and body. */
  readonly afterHead?: () => Promise<unknown>;
}

/** The next answer; undefined when the connection ends before it. */
async function readAnswer(
  wire: Wire,
  { head = false, afterHead }: AnswerOptions = {},
): Promise<Answer | undefined> {
  const text = await wire.take("\r\n\r\n");
  if (!text.endsWith("\r\n\r\n")) return undefined;
  const [status, ...lines] = text.trimEnd().split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const [, name, value] = /^([^:]*): ?(.*)$/.exec(line)!;
    const isNow = /^date$/i.test(name) && Math.abs(Date.parse(value) - Date.now()) < 60_000;
    return [name.toLowerCase(), isNow ? "now" : value];
  }).sort();
  await afterHead?.();
  const header = new Map(headers);
  const code = Number(status.split(" ")[1]);
  if (head || code < 200 || code === 204 || code === 304) {
    return { status, headers, framing: "none", body: "" };
  }
  if (header.get("transfer-encoding") === "chunked") {
    for (let body = "";;) {
      const line = await wire.take("\r\n"), size = parseInt(line, 16);
      const chunk = await wire.take((size || 0) + 2);
      const broken = !(chunk.length === size + 2);
      if (broken) return { status, headers, framing: "chunks", body, broken };
      if (size === 0) return { status, headers, framing: "chunks", body };
      body += chunk.slice(0, size);
    }
  }
  const length = header.get("content-length");
  // Without a length a body goes on until the end of the connection; some have none, and no end.
  if (length === undefined && code === 205) return { status, headers, framing: "none", body: "" };
  const body = await wire.take(length === undefined ? Infinity : Number(length));
  const framing = length === undefined ? "the end" : "length";
  const broken = length !== undefined && body.length < Number(length);
  return { status, headers, framing, body, ...broken && { broken } };
}

/** An answer whose body can be looked at. */
function brief({ body, ...answer }: Answer): Answer {
  const short = body.length <= 200 ? body : `${body.length} characters: ${body.slice(0, 20)}`;
  return { ...answer, body: short };
}

/** Asks for something on a connection of its own. */
async function tell(server: Server, path: string): Promise<string> {
  using wire = await Wire.connect(server);
  await wire.send(`GET ${path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`);
  return (await readAnswer(wire))!.body;
}

async function isOpen(wire: Wire): Promise<boolean> {
  try {
    await wire.send(PROBE);
  } catch {
    // The client learns of the end at a read or at a write, which is a matter of time.
    return false;
  }
  return (await readAnswer(wire))?.status.endsWith(" 200 OK") ?? false;
}

/**
 * Asks.
 *
 * @param server Whom.
 * @param question What.
 * @returns What came of it.
 */
export async function ask(server: Server, question: Question): Promise<Outcome> {
  const { send, answers = 1, head, then } = question;
  const [first, ...others] = typeof send === "string" ? [send] : send;
  const wire = await Wire.connect(server);
  // A server may close before it has taken everything.
  await wire.send(first).catch(() => {});
  for (const piece of others) {
    await tell(server, "/begun");
    await wire.send(piece);
  }
  if (then === "ends its output") await wire.conn.closeWrite();
  if (then === "leaves") await tell(server, "/begun");
  const afterHead = then === "releases" ? () => tell(server, "/release") : undefined;
  const got: Answer[] = [];
  let open = false;
  if (!then?.startsWith("leaves")) {
    while (got.length < answers) {
      const answer = await readAnswer(wire, { head, afterHead });
      if (answer === undefined) break;
      got.push(brief(answer));
    }
    open = got.length === answers && wire.rest === "" && await isOpen(wire);
  }
  const { rest } = wire;
  wire[Symbol.dispose]();
  // What the handler was told since the last look.
  return { answers: got, rest, open, calls: JSON.parse(await tell(server, "/report")) };
}
